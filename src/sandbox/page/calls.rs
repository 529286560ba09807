//! Calls on the page: the customer's button, the agent's telephone, the card in the CRM.

use serde_json::{Value, json};

use super::{Desk, view};
use crate::sandbox::portal::SimCard;
use crate::sandbox::sip::{AgentCall, CallStage, CustomerCall, SimTelephony};

/// Calls that are over stay on the page so long as they are among the latest.
const SHOWN: usize = 4;

/// What a click does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Click {
    Call,
    PickUp,
    HangUp,
    Dial,
    Answer,
    Decline,
    AgentHangUp,
}

/// Does it; `whom` is the customer's key or the id of the call.
pub(super) fn click(desk: &Desk, click: Click, whom: &str) -> Result<String, String> {
    let telephony = desk.scene.telephony.as_ref().ok_or("There is no telephony in this sandbox.")?;
    match click {
        Click::Call => {
            let customer = view::person(desk, whom).ok_or("No such customer.")?;
            let busy = |call: &CustomerCall| call.customer == customer && call.stage != CallStage::Ended;
            if telephony.calls_of_customers().iter().any(busy) {
                return Err("This customer is calling already.".to_owned());
            }
            Ok(telephony.customer_calls(&customer, None))
        }
        Click::PickUp if telephony.customer_answers(whom) => Ok(String::new()),
        Click::HangUp if telephony.customer_hangs_up(whom) => Ok(String::new()),
        Click::PickUp | Click::HangUp => Err("This call is over.".to_owned()),
        Click::Dial => {
            let customer = view::person(desk, whom).ok_or("No such customer.")?;
            let busy = |call: &AgentCall| call.is_outgoing && call.stage != CallStage::Ended;
            if telephony.calls_of_agents().iter().any(busy) {
                return Err("The agent is calling already.".to_owned());
            }
            telephony.agent_calls(&customer);
            Ok(String::new())
        }
        Click::Answer => at_agent(telephony, whom, SimTelephony::agent_answers),
        Click::Decline => at_agent(telephony, whom, SimTelephony::agent_declines),
        Click::AgentHangUp => at_agent(telephony, whom, SimTelephony::agent_hangs_up),
    }
}

fn at_agent(
    telephony: &SimTelephony,
    call_id: &str,
    act: impl FnOnce(&SimTelephony, &str),
) -> Result<String, String> {
    let open = |call: &AgentCall| call.call_id == call_id && call.stage != CallStage::Ended;
    if !telephony.calls_of_agents().iter().any(open) {
        return Err("This call is over.".to_owned());
    }
    act(telephony, call_id);
    Ok(String::new())
}

/// What of calls the page draws; `null` without telephony.
pub(super) fn snapshot(desk: &Desk) -> Value {
    let Some(telephony) = &desk.scene.telephony else { return Value::Null };
    let customers: Vec<Value> = telephony
        .calls_of_customers()
        .iter()
        .rev()
        .take(SHOWN)
        .map(|call| {
            json!({"id": call.wacid, "customer": view::key_of(&call.customer), "stage": call.stage,
                   "incoming": call.is_incoming, "outcome": call.outcome, "since": call.answered_at})
        })
        .collect();
    let agents: Vec<Value> = telephony
        .calls_of_agents()
        .iter()
        .rev()
        .take(SHOWN)
        .map(|call| {
            json!({"id": call.call_id, "wacid": call.wacid, "from": call.from, "stage": call.stage,
                   "outgoing": call.is_outgoing, "outcome": call.outcome})
        })
        .collect();
    let cards: Vec<Value> =
        desk.portal.cards().iter().rev().take(SHOWN).map(|card| shown(desk, card)).collect();
    json!({"customers": customers, "agents": agents, "cards": cards})
}

fn shown(desk: &Desk, card: &SimCard) -> Value {
    let users = |ids: &[u64]| ids.iter().map(|id| desk.portal.user_name(*id)).collect::<Vec<_>>();
    json!({
        "id": card.call_id, "number": card.number, "incoming": card.kind == 2,
        "open_at": users(&card.shown_to), "entity": card.entity.as_ref().map(|(kind, _)| kind.clone()),
        "start": card.start,
        "end": card.end.as_ref().map(|end| json!({
            "seconds": end.duration, "code": end.status_code, "reason": end.reason,
            "user": desk.portal.user_name(end.user_id),
        })),
    })
}
