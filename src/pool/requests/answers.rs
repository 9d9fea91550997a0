//! How clients are told how their request ended.

use crate::pool::protocol::announcement::Announcement;
use crate::pool::protocol::effect::{Effect, announce};
use crate::pool::protocol::event::{Request, Ticket};
use crate::pool::protocol::verdict::Verdict;

/// Tells every client that waits.
pub(in crate::pool) fn answer(tickets: &[Ticket], verdict: &Verdict, effects: &mut Vec<Effect>) {
    for ticket in tickets {
        if *ticket != Ticket::NOBODY {
            effects.push(Effect::Answer {
                ticket: *ticket,
                verdict: verdict.clone(),
            });
        }
    }
}

/// Tells every client, and people, that nothing is done about a request.
pub(in crate::pool) fn refuse(
    tickets: &[Ticket],
    request: Request,
    reason: String,
    effects: &mut Vec<Effect>,
) {
    announce(
        Announcement::Refused {
            request,
            reason: reason.clone(),
        },
        effects,
    );
    answer(tickets, &Verdict::Refused { reason }, effects);
}
