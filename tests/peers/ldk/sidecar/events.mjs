// LDK's events: those a test wants to know are told, those that only need a hand get it.

import { ldk } from "./load.mjs";
import { hex, number, some } from "./values.mjs";

export class Events {
  #node;
  #handler;
  #deeds = [];

  constructor(node) {
    this.#node = node;
    this.invoices = new Map();
    this.openings = new Map();
    this.#handler = ldk.EventHandler.new_impl({
      handle_event: (event) => {
        this.#handle(event);
        return ldk.Result_NoneReplayEventZ.constructor_ok();
      },
    });
  }

  /** Handle what waits; what it asks for is done after LDK's callback has returned. */
  drain(provider) {
    provider.process_pending_events(this.#handler);
    for (const deed of this.#deeds.splice(0)) deed();
  }

  #handle(event) {
    const { tell, manager } = this.#node;
    if (event instanceof ldk.Event_PendingHTLCsForwardable) {
      this.#deeds.push(() => manager.process_pending_htlc_forwards());
      this.#deeds.push(() => this.#node.pumpSoon());
    } else if (event instanceof ldk.Event_FundingGenerationReady) {
      // By the peer: the bindings read the user_channel_id wrongly.
      this.openings.get(hex(event.counterparty_node_id))?.({
        channel: event.temporary_channel_id.clone(),
        peer: Uint8Array.from(event.counterparty_node_id),
        satoshis: event.channel_value_satoshis,
        script: Uint8Array.from(event.output_script),
      });
    } else if (event instanceof ldk.Event_InvoiceReceived) {
      const id = hex(event.payment_id);
      this.invoices.set(id, { invoice: event.invoice.clone(), context: event.context.clone() });
      tell("invoice_received", { payment_id: id, invoice: hex(event.invoice.write()) });
    } else if (event instanceof ldk.Event_PaymentClaimable) {
      tell("payment_claimable", {
        payment_hash: hex(event.payment_hash),
        amount_msat: number(event.amount_msat),
        preimage: hexOrNull(some(event.purpose.preimage())), // null where the hash was ours to choose
      });
    } else if (event instanceof ldk.Event_PaymentClaimed) {
      tell("payment_claimed", { payment_hash: hex(event.payment_hash), amount_msat: number(event.amount_msat) });
    } else if (event instanceof ldk.Event_PaymentSent) {
      tell("payment_sent", {
        payment_id: hexOrNull(some(event.payment_id)),
        payment_hash: hex(event.payment_hash),
        preimage: hex(event.payment_preimage),
        fee_msat: number(some(event.fee_paid_msat) ?? 0n),
      });
    } else if (event instanceof ldk.Event_PaymentFailed) {
      const reason = some(event.reason);
      tell("payment_failed", {
        payment_id: hex(event.payment_id),
        payment_hash: hexOrNull(some(event.payment_hash)),
        reason: reason === null ? null : ldk.PaymentFailureReason[reason].replace("LDKPaymentFailureReason_", ""),
      });
    } else if (event instanceof ldk.Event_PaymentPathFailed) {
      tell("payment_path_failed", {
        payment_hash: hex(event.payment_hash),
        permanently: event.payment_failed_permanently,
      });
    } else if (event instanceof ldk.Event_ChannelPending) {
      tell("channel_pending", { peer: hex(event.counterparty_node_id) });
    } else if (event instanceof ldk.Event_ChannelReady) {
      tell("channel_ready", { peer: hex(event.counterparty_node_id) });
    } else if (event instanceof ldk.Event_ChannelClosed) {
      tell("channel_closed", { reason: event.reason.constructor.name });
    } else if (event instanceof ldk.Event_HTLCHandlingFailed) {
      tell("htlc_failed", { destination: event.failed_next_destination.constructor.name });
    }
  }
}

const hexOrNull = (bytes) => (bytes === null ? null : hex(bytes));
