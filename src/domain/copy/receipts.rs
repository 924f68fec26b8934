//! The receipts of one copy (eventType 30), of which there may be as many as a body holds.

use std::fmt;

use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::fields::Fields;
use super::{Unintelligible, fault};
use crate::domain::message::Receipt;

/// Objects of one copy that cannot be understood and are kept each for itself. Those past it are kept together, so that
/// a copy costs few writes whatever it holds.
pub const KEPT_APART: usize = 100;

/// What the receipts of one copy say. Each object stands for itself, so a bad one does not take the others along.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipts {
    /// Those that were understood.
    pub good: Vec<Receipt>,
    /// The others, at most [`KEPT_APART`] and one that holds the rest together. Each is a copy of its own, so that it can
    /// be taken in again like any other.
    pub bad: Vec<Unintelligible>,
    /// How many objects `bad` holds.
    pub bad_objects: usize,
}

/// `objects` of eventType 30: an array, or text that holds one; a lone object is taken for an array of one.
pub(super) fn read(objects: Option<&str>) -> Result<Receipts, String> {
    let objects = objects.ok_or("objects is missing")?;
    let mut gathered = Gathered::default();
    let read = if objects.trim_start().starts_with('{') {
        serde_json::from_str::<&RawValue>(objects).map(|one| gathered.take(one.get()))
    } else {
        let mut list = serde_json::Deserializer::from_str(objects);
        list.deserialize_seq(&mut gathered).and_then(|()| list.end())
    };
    read.map_err(|e| format!("objects is not a list of receipts: {}", fault(&e)))?;
    Ok(gathered.finish())
}

#[derive(Default)]
struct Gathered {
    receipts: Receipts,
    /// What is kept together, with commas, and what is wrong with the first of it.
    rest: String,
    wrong: String,
}

impl Gathered {
    fn take(&mut self, raw: &str) {
        let reason = match receipt(raw) {
            Ok(receipt) => return self.receipts.good.push(receipt),
            Err(reason) => reason,
        };
        self.receipts.bad_objects += 1;
        if self.receipts.bad.len() < KEPT_APART {
            self.receipts.bad.push(unintelligible(reason, raw));
        } else if self.rest.is_empty() {
            raw.clone_into(&mut self.rest);
            self.wrong = reason;
        } else {
            self.rest.push(',');
            self.rest.push_str(raw);
        }
    }

    fn finish(mut self) -> Receipts {
        if !self.rest.is_empty() {
            let count = self.receipts.bad_objects - KEPT_APART;
            let reason = format!("{count} more objects of one copy; the first of them: {}", self.wrong);
            self.receipts.bad.push(unintelligible(reason, &self.rest));
        }
        self.receipts
    }
}

impl<'de> Visitor<'de> for &mut Gathered {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of receipts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(object) = list.next_element::<&RawValue>()? {
            self.take(object.get());
        }
        Ok(())
    }
}

fn unintelligible(reason: String, objects: &str) -> Unintelligible {
    Unintelligible { reason, event_type: "30", raw: format!(r#"{{"eventType":"30","objects":[{objects}]}}"#) }
}

fn receipt(raw: &str) -> Result<Receipt, String> {
    if !raw.starts_with('{') {
        return Err("not a receipt: not an object".to_owned());
    }
    let object = Fields::of(raw).map_err(|e| format!("not a receipt: {}", fault(&e)))?;
    Ok(Receipt {
        reader: object.accid("fromAccount")?,
        peer: object.accid("toAccount")?,
        up_to: object.millis("timestamp")?,
    })
}
