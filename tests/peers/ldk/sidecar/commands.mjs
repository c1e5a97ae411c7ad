// What can be asked of the node, by name. Each takes an object and answers what JSON can hold.

import { ldk } from "./load.mjs";
import { fundingTransaction } from "./chain.mjs";
import { bytes, hex, number, some, take, u64 } from "./values.mjs";

const NO_RETRY = () => ldk.Retry.constructor_attempts(0);

/** An HTLC that both sides have signed, and that nobody has begun to remove; the enum of the other direction agrees. */
const COMMITTED = ldk.InboundHTLCStateDetails.LDKInboundHTLCStateDetails_Committed;

const htlcsOf = (channel) => [...channel.get_pending_inbound_htlcs(), ...channel.get_pending_outbound_htlcs()];

/** All commands of a node. */
export function commandsOf(node) {
  return { ...peerCommands(node), ...channelCommands(node), ...offerCommands(node), ...moneyCommands(node) };
}

function peerCommands(node) {
  return {
    listen: ({ port = 0 }) => node.net.listen(port),
    connect: ({ node_id, host, port }) => node.net.connect(node_id, host, port),
    disconnect({ node_id }) {
      node.peers.disconnect_by_node_id(bytes(node_id));
      node.pumpSoon();
    },
    peers: () => node.peers.list_peers().map((peer) => hex(peer.get_counterparty_node_id())),
    tick() {
      node.peers.timer_tick_occurred();
      node.pumpSoon();
    },
    announce: () => node.announce(),
    memory: () => Math.round(process.memoryUsage().rss / 2 ** 20),
  };
}

function channelCommands(node) {
  let opened = 0;
  return {
    /** Begin a channel; answers the funding transaction, which then wants `blocks` on both sides. */
    open_channel: ({ node_id, satoshis, push_msat = 0 }) =>
      new Promise((resolve, reject) => {
        opened += 1;
        node.events.openings.set(node_id, ({ channel, peer, satoshis: value, script }) => {
          const transaction = fundingTransaction(script, value, opened);
          setImmediate(() => {
            const result = node.manager.funding_transaction_generated(channel, peer, transaction);
            if (result.is_ok()) resolve(hex(transaction));
            else reject(new Error("the funding transaction was refused"));
            node.pumpSoon();
          });
        });
        const sized = [BigInt(satoshis), BigInt(push_msat), 0n];
        take(node.manager.create_channel(bytes(node_id), ...sized, null, null));
        node.pumpSoon();
      }),
    blocks({ count = 1, transactions = [], time }) {
      const height = node.chain.grow(count, transactions.map(bytes), time);
      node.pumpSoon();
      return height;
    },
    channels: () =>
      node.manager.list_channels().map((channel) => ({
        peer: hex(channel.get_counterparty().get_node_id()),
        usable: channel.get_is_usable(),
        outbound_msat: number(channel.get_outbound_capacity_msat()),
        next_outbound_msat: number(channel.get_next_outbound_htlc_limit_msat()),
        inbound_msat: number(channel.get_inbound_capacity_msat()),
        htlcs: htlcsOf(channel).length,
        moving: htlcsOf(channel).filter((htlc) => some(htlc.get_state()) !== COMMITTED).length,
        reserve_sat: number(some(channel.get_unspendable_punishment_reserve()) ?? 0n),
      })),
  };
}

function offerCommands(node) {
  return {
    parse_offer({ offer }) {
      const parsed = take(ldk.Offer.constructor_read(bytes(offer)));
      return { bytes: hex(parsed.write()), text: parsed.to_str() };
    },
    parse_offer_text: ({ text }) => hex(take(ldk.Offer.constructor_from_str(text)).write()),
    create_offer({ expiry = null }) {
      const builder = take(node.manager.create_offer_builder(u64(expiry)), ldk.Bolt12SemanticError);
      return hex(take(builder.build(), ldk.Bolt12SemanticError).write());
    },
    pay_offer({ offer, payment_id, amount_msat = null, quantity = null, note = null }) {
      const wanted = take(ldk.Offer.constructor_read(bytes(offer)));
      const said = note === null ? ldk.Option_StrZ.constructor_none() : ldk.Option_StrZ.constructor_some(note);
      const terms = [u64(quantity), u64(amount_msat), said, bytes(payment_id), NO_RETRY(), u64(null)];
      take(node.manager.pay_for_offer(wanted, ...terms), ldk.Bolt12SemanticError);
      node.pumpSoon();
    },
    /** Pay an invoice that came by the event invoice_received. */
    pay_received_invoice({ payment_id }) {
      const { invoice, context } = node.events.invoices.get(payment_id);
      take(node.manager.send_payment_for_bolt12_invoice(invoice, context));
      node.pumpSoon();
    },
    payer_tick() {
      node.manager.timer_tick_occurred();
      node.pumpSoon();
    },
  };
}

function moneyCommands(node) {
  return {
    /** Await a payment of a hash; answers its secret and a finished blinded path that ends here. */
    register({ payment_hash, amount_msat, expires_in_s, final_cltv, max_cltv }) {
      const hash = bytes(payment_hash);
      const least = ldk.Option_u16Z.constructor_some(final_cltv);
      const secret = take(node.manager.create_inbound_payment_for_hash(hash, u64(amount_msat), expires_in_s, least));
      const context = ldk.PaymentContext.constructor_bolt12_refund(ldk.Bolt12RefundContext.constructor_new());
      const constraints = ldk.PaymentConstraints.constructor_new(max_cltv, 1n);
      const open = ldk.UnauthenticatedReceiveTlvs.constructor_new(secret, constraints, context);
      const nonce = ldk.Nonce.constructor_from_entropy_source(node.entropy);
      const sealed = open.authenticate(nonce, node.inboundKey);
      const path = take(ldk.BlindedPaymentPath.constructor_one_hop(node.id, sealed, final_cltv, node.entropy));
      return { payment_secret: hex(secret), path: pathTold(path) };
    },
    claim({ preimage }) {
      node.manager.claim_funds(bytes(preimage));
      node.pumpSoon();
    },
    fail({ payment_hash }) {
      node.manager.fail_htlc_backwards(bytes(payment_hash));
      node.pumpSoon();
    },
    /** Pay a hash over the payment paths of a bolt12 invoice that LDK did not ask for. */
    pay({ payment_hash, payment_id, invoice, amount_msat, max_fee_msat }) {
      const read = take(ldk.Bolt12Invoice.constructor_read(bytes(invoice)));
      const payee = ldk.PaymentParameters.constructor_from_bolt12_invoice(read);
      const route = ldk.RouteParameters.constructor_new(payee, BigInt(amount_msat), u64(max_fee_msat));
      const onion = ldk.RecipientOnionFields.constructor_spontaneous_empty();
      const way = [onion, bytes(payment_id), route, NO_RETRY()];
      take(node.manager.send_payment(bytes(payment_hash), ...way), ldk.RetryableSendFailure);
      node.pumpSoon();
    },
  };
}

function pathTold(path) {
  const info = path.get_payinfo();
  return {
    introduction: hex(path.introduction_node().node_id),
    path_key: hex(path.blinding_point()),
    hops: path.blinded_hops().map((hop) => [hex(hop.get_blinded_node_id()), hex(hop.get_encrypted_payload())]),
    fee_base_msat: info.get_fee_base_msat(),
    fee_proportional_millionths: info.get_fee_proportional_millionths(),
    cltv_expiry_delta: info.get_cltv_expiry_delta(),
    htlc_minimum_msat: number(info.get_htlc_minimum_msat()),
    htlc_maximum_msat: `${info.get_htlc_maximum_msat()}`, // all the money there is does not fit a JSON number
  };
}
