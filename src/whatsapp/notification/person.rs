//! Who a message comes from or goes to. Since 2026 a person may show no number, only a business-scoped
//! user id, or both (whatsapp-messaging facts §1.8).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{Text, elements, object};
use super::{UserId, WaId};

/// What is known of a person; an empty text counts as missing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Person {
    /// The number, if Meta shows it.
    pub wa_id: Option<WaId>,
    /// The id within the business portfolio; may rotate.
    pub user_id: Option<UserId>,
    /// The id within a group of portfolios.
    pub parent_user_id: Option<UserId>,
    /// The profile's name; `~` and blanks count as missing.
    pub name: Option<String>,
    /// The username without `@`.
    pub username: Option<String>,
}

impl Person {
    /// Whether nothing tells who it is.
    pub fn is_anonymous(&self) -> bool {
        self.wa_id.is_none() && self.user_id.is_none() && self.parent_user_id.is_none()
    }

    /// Every id that is there.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        let user_ids = [&self.user_id, &self.parent_user_id].into_iter().flatten().map(UserId::as_str);
        self.wa_id.iter().map(WaId::as_str).chain(user_ids)
    }

    /// The ids as an element spells them itself.
    pub(super) fn of_ids(wa_id: &Text, user_id: &Text, parent_user_id: &Text) -> Self {
        Self {
            wa_id: wa_id.id(),
            user_id: user_id.id(),
            parent_user_id: parent_user_id.id(),
            ..Self::default()
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        fn equal<T: PartialEq>(a: &Option<T>, b: &Option<T>) -> bool {
            a.is_some() && a == b
        }
        equal(&self.user_id, &other.user_id) || equal(&self.wa_id, &other.wa_id)
    }

    fn completed_by(self, contact: &Self) -> Self {
        Self {
            wa_id: self.wa_id.or_else(|| contact.wa_id.clone()),
            user_id: self.user_id.or_else(|| contact.user_id.clone()),
            parent_user_id: self.parent_user_id.or_else(|| contact.parent_user_id.clone()),
            name: self.name.or_else(|| contact.name.clone()),
            username: self.username.or_else(|| contact.username.clone()),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Contact<'a> {
    #[serde(borrow)]
    profile: Option<&'a RawValue>,
    #[serde(borrow)]
    wa_id: Text<'a>,
    #[serde(borrow)]
    user_id: Text<'a>,
    #[serde(borrow)]
    parent_user_id: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Profile<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    username: Text<'a>,
}

/// `contacts[]` of a value, which is not aligned with `messages[]` (§1.6).
#[derive(Default)]
pub(super) struct Contacts {
    people: Vec<Person>,
    neighbours: usize,
}

impl Contacts {
    pub(super) fn read(list: Option<&RawValue>) -> Self {
        Self { people: elements(list).into_iter().map(contact).collect(), neighbours: 1 }
    }

    /// Says how many elements share this list: beside a single one, a single contact is surely meant.
    pub(super) fn alone_with(&mut self, elements: usize) {
        self.neighbours = elements;
    }

    /// The person completed by their contact: found by an id, else the only one if there is only one element,
    /// or nothing else tells who it is. Two different kinds of ids are no evidence: what is joined here leads
    /// to one chat from then on.
    pub(super) fn complete(&self, person: Person) -> Person {
        let found = self.people.iter().find(|contact| contact.is_same(&person)).or_else(|| {
            match self.people.as_slice() {
                [only] if self.neighbours == 1 || person.is_anonymous() => Some(only),
                _ => None,
            }
        });
        match found {
            Some(contact) => person.completed_by(contact),
            None => person,
        }
    }
}

fn contact(raw: &RawValue) -> Person {
    let contact: Contact = object(Some(raw));
    let profile: Profile = object(contact.profile);
    let shown = |text: &Text| text.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    Person {
        name: shown(&profile.name).filter(|name| name != "~"),
        username: shown(&profile.username)
            .map(|name| name.trim_start_matches('@').to_owned())
            .filter(|name| !name.is_empty()),
        ..Person::of_ids(&contact.wa_id, &contact.user_id, &contact.parent_user_id)
    }
}
