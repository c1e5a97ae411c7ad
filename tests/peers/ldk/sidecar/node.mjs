// One LDK node with everything it needs, in memory: it forgets all when the process ends.

import { randomBytes } from "node:crypto";
import { ldk } from "./load.mjs";
import { Chain } from "./chain.mjs";
import { Events } from "./events.mjs";
import { Net } from "./net.mjs";
import { hex, take } from "./values.mjs";

const FEERATE = 253;
const DUST_MAX_MSAT = 1_000_000_000n; // the tests hold many small payments; LDK's default allows hardly two
const PUMP_EVERY_MS = 50;

export class Node {
  /**
   * `channels: false` makes a node that has no channels and speaks of none with its peers. `tell(name, data)` is called
   * with what happens, `log(text)` with what LDK logs.
   */
  constructor({ seed, time, channels = true }, tell, log) {
    this.tell = tell;
    const logger = ldk.Logger.new_impl({ log: (record) => log(`${record.get_module_path()}: ${record.get_args()}`) });
    const keys = ldk.KeysManager.constructor_new(seed, BigInt(time), randomBytes(4).readUInt32LE());
    this.signer = keys.as_NodeSigner();
    this.entropy = keys.as_EntropySource();
    this.inboundKey = this.signer.get_inbound_payment_key();
    this.id = take(this.signer.get_node_id(ldk.Recipient.LDKRecipient_Node));
    this.graph = ldk.NetworkGraph.constructor_new(ldk.Network.LDKNetwork_Regtest, logger);
    this.monitors = this.#chainMonitor(logger);
    const messageRouter = ldk.DefaultMessageRouter.constructor_new(this.graph, this.entropy).as_MessageRouter();
    this.manager = this.#channelManager(keys, logger, messageRouter, time);
    const ignorer = ldk.IgnoringMessageHandler.constructor_new();
    this.messages = ldk.OnionMessenger.constructor_new(
      this.entropy,
      this.signer,
      logger,
      this.manager.as_NodeIdLookUp(),
      messageRouter,
      this.#offersHandler(),
      this.manager.as_AsyncPaymentsMessageHandler(),
      this.manager.as_DNSResolverMessageHandler(),
      ignorer.as_CustomOnionMessageHandler(),
    );
    const relayOnly = () => ldk.ErroringMessageHandler.constructor_new().as_ChannelMessageHandler();
    this.peers = ldk.PeerManager.constructor_new(
      channels ? this.manager.as_ChannelMessageHandler() : relayOnly(),
      ignorer.as_RoutingMessageHandler(),
      this.messages.as_OnionMessageHandler(),
      ignorer.as_CustomMessageHandler(),
      time,
      randomBytes(32),
      logger,
      this.signer,
    );
    this.net = new Net(this.peers, () => this.pumpSoon());
    this.chain = new Chain([this.manager.as_Confirm(), this.monitors.as_Confirm()], time);
    this.events = new Events(this);
    this.kept = [keys, logger, ignorer]; // the bindings free what nobody holds
    this.pumping = false;
    setInterval(() => this.pump(), PUMP_EVERY_MS);
  }

  #chainMonitor(logger) {
    const completed = ldk.ChannelMonitorUpdateStatus.LDKChannelMonitorUpdateStatus_Completed;
    this.fees = ldk.FeeEstimator.new_impl({ get_est_sat_per_1000_weight: () => FEERATE });
    this.broadcaster = ldk.BroadcasterInterface.new_impl({ broadcast_transactions: () => {} });
    const persist = ldk.Persist.new_impl({
      persist_new_channel: () => completed,
      update_persisted_channel: () => completed,
      archive_persisted_channel: () => {},
    });
    const noFilter = ldk.Option_FilterZ.constructor_none();
    return ldk.ChainMonitor.constructor_new(noFilter, this.broadcaster, logger, this.fees, persist);
  }

  #channelManager(keys, logger, messageRouter, time) {
    const config = ldk.UserConfig.constructor_default();
    config.set_manually_handle_bolt12_invoices(true);
    const handshake = ldk.ChannelHandshakeConfig.constructor_default();
    handshake.set_minimum_depth(1);
    handshake.set_our_htlc_minimum_msat(1n);
    handshake.set_max_inbound_htlc_value_in_flight_percent_of_channel(100);
    config.set_channel_handshake_config(handshake);
    const channel = ldk.ChannelConfig.constructor_default();
    channel.set_max_dust_htlc_exposure(ldk.MaxDustHTLCExposure.constructor_fixed_limit_msat(DUST_MAX_MSAT));
    config.set_channel_config(channel);
    const scorer = ldk.ProbabilisticScorer.constructor_new(
      ldk.ProbabilisticScoringDecayParameters.constructor_default(),
      this.graph,
      logger,
    );
    this.scores = ldk.MultiThreadedLockableScore.constructor_new(scorer.as_Score());
    const router = ldk.DefaultRouter.constructor_new(
      this.graph,
      logger,
      this.entropy,
      this.scores.as_LockableScore(),
      ldk.ProbabilisticScoringFeeParameters.constructor_default(),
    );
    const network = ldk.Network.LDKNetwork_Regtest;
    return ldk.ChannelManager.constructor_new(
      this.fees,
      this.monitors.as_Watch(),
      this.broadcaster,
      router.as_Router(),
      messageRouter,
      logger,
      this.entropy,
      this.signer,
      keys.as_SignerProvider(),
      config,
      ldk.ChainParameters.constructor_new(network, ldk.BestBlock.constructor_from_network(network)),
      time,
    );
  }

  /** The ChannelManager's handler of BOLT 12 messages, with every message in and out told. */
  #offersHandler() {
    const inner = this.manager.as_OffersMessageHandler();
    return ldk.OffersMessageHandler.new_impl({
      handle_message: (message, context, responder) => {
        this.tell("offers_message", { way: "in", ...told(message) });
        const answer = inner.handle_message(message, context, responder);
        if ("some" in answer) this.tell("offers_message", { way: "answer", ...told(answer.some.get_a()) });
        return answer;
      },
      release_pending_messages: () => {
        const pending = inner.release_pending_messages();
        for (const one of pending) this.tell("offers_message", { way: "out", ...told(one.get_a()) });
        return pending;
      },
    });
  }

  /** Let LDK do what it has to do; nothing in it moves by itself. */
  pump() {
    this.peers.process_events();
    this.events.drain(this.manager.as_EventsProvider());
    this.events.drain(this.monitors.as_EventsProvider());
    this.events.drain(this.messages.as_EventsProvider());
    this.peers.process_events();
  }

  /** Pump once the present callbacks of LDK have returned; it must not be called from within them. */
  pumpSoon() {
    if (this.pumping) return;
    this.pumping = true;
    setImmediate(() => {
      this.pumping = false;
      this.pump();
    });
  }

  /** Have the node think that it is announced, by a channel that nobody proves, so that its paths begin at itself. */
  announce() {
    const other = Uint8Array.from(Buffer.from("02" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", "hex"));
    const [first, second] = [this.id, other].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const features = ldk.ChannelFeatures.constructor_empty();
    take(this.graph.add_channel_from_partial_announcement(1n << 40n, 1n, features, first, second));
  }
}

function told(message) {
  const kind = message.constructor.name.replace("OffersMessage_", "");
  return { kind, data: hex(message.write()) };
}
