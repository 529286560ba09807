//! How many messages a second Meta takes of a phone (whatsapp-messaging facts §6.1).

use crate::store::phones::PhoneRow;

/// What every phone has, and one of which Meta has not said anything.
const STANDARD: u32 = 80;
/// After Meta's upgrade.
const HIGH: u32 = 1_000;
/// Of a number that is used in the WhatsApp Business app as well.
const COEXISTENCE: u32 = 20;

/// Messages that Meta takes of this phone in a second. A level that is not known here counts as the standard one:
/// Meta has never given less, and tells by 130429 if it does.
pub fn per_second(phone: &PhoneRow) -> u32 {
    match phone.throughput.as_deref() {
        _ if phone.on_business_app => COEXISTENCE,
        Some("HIGH") => HIGH,
        _ => STANDARD,
    }
}
