//! How many messages a second Meta takes of a phone (whatsapp-messaging facts §6.1).

use crate::queue::pace::STANDARD;
use crate::store::phones::PhoneRow;

/// After Meta's upgrade.
const HIGH: u32 = 1_000;
/// Of a number that is used in the WhatsApp Business app as well.
const COEXISTENCE: u32 = 20;

/// Messages that Meta takes of this phone in a second. A phone of which nothing is known, and a level that is not
/// known here, count as the standard: Meta has never given less, and tells by 130429 if it does.
pub fn per_second(phone: &PhoneRow) -> u32 {
    match phone.throughput.as_deref() {
        _ if phone.on_business_app => COEXISTENCE,
        Some("HIGH") => HIGH,
        _ => STANDARD,
    }
}
