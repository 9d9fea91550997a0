//! What follows from what a program says: on Node's channel, and by `sd_notify`.

use std::time::Duration;

use super::conversation::Conversation;
use super::node::line::MAX_LINE_BYTES;
use super::node::session::{NodeEnd, NodeEvent};
use super::pulse::PulseSource;
use super::supervise::Supervision;
use crate::scoreboard::Counter;

impl Supervision {
    /// What Node's channel brings.
    pub(super) fn heard(&mut self, event: NodeEvent) {
        self.speaks |= !matches!(event, NodeEvent::End(_));
        match event {
            NodeEvent::Beat => self.pulse.beat(PulseSource::Node),
            NodeEvent::Answered(classes) => self.count(classes),
            NodeEvent::Listening(_) => drop(self.listening.send_replace(true)),
            NodeEvent::AppReady => drop(self.notified.send_replace(true)),
            NodeEvent::ListenRefused(refusal) => {
                tracing::error!("the program cannot listen: {}", refusal.reason);
            }
            NodeEvent::BoundByItself(address) => {
                self.told_own = true;
                tracing::warn!(
                    "the program listens by itself on {address}: without SO_REUSEPORT a second worker, and \
                     so a \
                     reload, finds the address in use, and with it a reload loses connections there; let it \
                     listen without `exclusive` and `reusePort`"
                );
                self.listening.send_replace(true);
            }
            NodeEvent::Unsupported { reason, version } => tracing::error!(
                "Node {version} does not behave as expected ({reason}), so the program binds by itself: pass it \
                 listeners with --bind and --listen fds, and let it `listen({{fd: 3}})`"
            ),
            // A program behind a wrapper is another process than before.
            NodeEvent::Taken { pid, version } => {
                self.pulse.forget(PulseSource::Node);
                tracing::debug!(pid, "Node {version} has taken the channel");
            }
            NodeEvent::TooLong => tracing::warn!(
                "the program has sent more than {MAX_LINE_BYTES} bytes without a newline on its IPC channel; \
                 they are skipped: nobody reads what it sends to its parent"
            ),
            NodeEvent::End(end) => self.channel_ended(&end),
            NodeEvent::Online
            | NodeEvent::ListenWanted(_)
            | NodeEvent::Closed(_)
            | NodeEvent::Spawned(_)
            | NodeEvent::AppMessage
            | NodeEvent::Disconnecting => {}
        }
    }

    /// Hears what a program has said before its end, such as what it has answered since its last beat.
    pub(super) async fn hear_the_rest(&mut self, at_most: Duration) {
        loop {
            let Some(conversation) = &mut self.conversation else {
                return;
            };
            match conversation.rest(at_most).await {
                Some(NodeEvent::Answered(classes)) => self.count(classes),
                Some(_) => {}
                None => return,
            }
        }
    }

    fn count(&self, classes: [u32; 5]) {
        let counters = self.worker.board().counters();
        for (status, more) in [100, 200, 300, 400, 500].into_iter().zip(classes) {
            counters.add_several(Counter::of_status(status), more);
            counters.add_several(Counter::Requests, more);
        }
    }

    fn channel_ended(&mut self, end: &NodeEnd) {
        if self.drain.is_some() {
            // Its connections are finished: what keeps it now is its own business.
            return self.signal();
        }
        if self.tree.ended().is_some() {
            return;
        }
        let has_left = self
            .conversation
            .as_ref()
            .is_some_and(Conversation::has_left_everything);
        match end {
            NodeEnd::Closed => {}
            // Its connections are finished: Node closes the channel after them.
            NodeEnd::Disconnected if self.is_ready && has_left => self.give_up(
                "the program has left the cluster (cluster.worker.disconnect()), and listens on nothing \
                 any more",
            ),
            NodeEnd::Disconnected => tracing::warn!("{end}"),
            NodeEnd::GivenUp(_) => {
                tracing::warn!("{end}");
                self.given_up = Some(end.to_string());
            }
        }
    }
}
