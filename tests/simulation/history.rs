//! What happens at NetEase in one simulation: messages, receipts, recalls and nonsense, with the copies that are
//! sent of them. Drawn from the seed alone, so that the same history can run over any pair of stores.

use otc_im::domain::counting::CountingRules;
use otc_im::domain::ids::{Accid, Millis, ServerId};
use otc_im::domain::message::{ConvType, MessageKey, Receipt};

use super::rng::Rng;

/// When every history begins; its messages are dated around it.
pub const BEGIN: Millis = Millis(1_700_000_000_000);
/// Deliveries begin within this many milliseconds.
pub const SPAN_MS: u64 = 5_000;
/// A day: a receipt as far ahead as this one is pulled back.
const FAR_MS: i64 = 86_400_000;

/// Everything that NetEase will tell the service.
#[derive(Debug, Clone)]
pub struct History {
    /// Everybody who writes and reads.
    pub people: Vec<Accid>,
    /// In no particular order.
    pub events: Vec<Event>,
    /// Whether an answer is a reading.
    pub reply_reads: bool,
}

impl History {
    /// What the service is told to count.
    pub fn rules(&self) -> CountingRules {
        CountingRules { reply_reads: self.reply_reads, ..CountingRules::default() }
    }
}

/// One thing that happened, and how it is told.
#[derive(Debug, Clone)]
pub struct Event {
    pub fact: Fact,
    /// What is posted. Further ones are copies of the same message that differ where no count looks.
    pub bodies: Vec<String>,
    /// A text that a dead letter must hold once this has been acknowledged.
    pub letter: Option<String>,
    /// When it is told first; NetEase then goes on until it is acknowledged.
    pub first_ms: u64,
    /// When it is told once more, whatever became of the first.
    pub again_ms: Vec<u64>,
    /// After so many attempts NetEase stops, acknowledged or not.
    pub patience: Option<u64>,
}

/// What an event means, known without reading its body.
#[derive(Debug, Clone)]
pub enum Fact {
    Sent(Sent),
    Read(Vec<Receipt>),
    Recalled(MessageKey),
    /// Nothing that anybody counts.
    Noise,
}

/// A message.
#[derive(Debug, Clone)]
pub struct Sent {
    pub key: MessageKey,
    pub from: Accid,
    pub to: Accid,
    pub at: Millis,
    /// Whether it is one that an unread count waits for.
    pub counts: bool,
    /// What its sender has read by writing it.
    pub read: Option<Receipt>,
}

/// Draws the history of `seed`. All names begin with `prefix`.
pub fn draw(rng: &mut Rng, prefix: &str) -> History {
    let names = ["ann", "bob", "cem"];
    let people = names.iter().map(|name| Accid::of_user(&format!("{prefix}{name}"))).collect();
    let reply_reads = rng.chance(300);
    let mut drawing = Drawing { rng, history: History { people, events: Vec::new(), reply_reads } };
    for number in 0..drawing.rng.within(4, 16) {
        drawing.message(number);
    }
    for _ in 0..drawing.rng.within(1, 6) {
        drawing.receipts();
    }
    for _ in 0..drawing.rng.below(5) {
        drawing.recall();
    }
    for number in 0..drawing.rng.below(3) {
        drawing.noise(number);
    }
    drawing.history
}

struct Drawing<'a> {
    rng: &'a mut Rng,
    history: History,
}

impl Drawing<'_> {
    fn person(&mut self) -> Accid {
        self.rng.pick(&self.history.people).clone()
    }

    /// A pair of which the first is often the same, so that much happens to one reader.
    fn reader_and_peer(&mut self) -> (Accid, Accid) {
        let reader = if self.rng.chance(600) { self.history.people[0].clone() } else { self.person() };
        (reader, self.person())
    }

    /// One of few moments, so that many messages share theirs; some lie hours back, few ahead.
    fn moment(&mut self) -> Millis {
        match self.rng.below(20) {
            0 => BEGIN.plus(-7_200_000),
            1 => BEGIN.plus(120_000),
            _ => BEGIN.plus(i64::try_from(self.rng.below(5)).expect("small") * 1_000),
        }
    }

    fn tell(&mut self, fact: Fact, bodies: Vec<String>, letter: Option<String>, first_ms: u64) {
        // Often at the very moment of another, as copies come that are written together.
        let before = self.history.events.last().map(|event| event.first_ms);
        let first_ms = before.filter(|_| self.rng.chance(400)).unwrap_or(first_ms);
        let copies = if self.rng.chance(400) { self.rng.within(1, 3) } else { 0 };
        let again = |rng: &mut Rng| match rng.below(3) {
            0 => rng.below(SPAN_MS),
            _ => first_ms + rng.below(400),
        };
        let again_ms = (0..copies).map(|_| again(self.rng)).collect();
        let patience = self.rng.chance(40).then(|| self.rng.within(1, 2));
        self.history.events.push(Event { fact, bodies, letter, first_ms, again_ms, patience });
    }

    fn message(&mut self, number: u64) {
        let (to, from) = self.reader_and_peer();
        let (conv_type, more) = match self.rng.below(20) {
            0 => (ConvType::Team, ""),
            1 => (ConvType::CustomPerson, ""),
            2 => (ConvType::Person, r#","antispam":"true""#),
            3 => (ConvType::Person, r#","blacklist":"1""#),
            _ => (ConvType::Person, ""),
        };
        // Notices and messages may have one number: a notice takes that of the message before it.
        let shared = u64::from(conv_type == ConvType::CustomPerson && number > 0);
        let id = 1_000 + i64::try_from(number - shared).expect("small");
        let key = MessageKey { conv_type, server_id: ServerId::new(id).expect("positive") };
        let at = self.moment();
        let time = if self.rng.chance(500) { format!("\"{at}\"") } else { at.to_string() };
        let body = |nick: &str| {
            format!(
                r#"{{"eventType":"1","convType":"{}","to":"{to}","fromAccount":"{from}","msgTimestamp":{time},
                "msgType":"TEXT","msgidServer":"{id}","fromNick":"{nick}","body":"hi"{more}}}"#,
                conv_type.as_str()
            )
        };
        let mut bodies = vec![body("first")];
        if self.rng.chance(100) {
            bodies.push(body("second"));
        }
        let counts = conv_type == ConvType::Person && more.is_empty() && to != from;
        let first_ms = self.rng.below(SPAN_MS);
        let answers = counts && self.history.reply_reads;
        let read = answers.then(|| Receipt { reader: from.clone(), peer: to.clone(), up_to: at.plus(-1) });
        self.tell(Fact::Sent(Sent { key, from, to, at, counts, read }), bodies, None, first_ms);
    }

    fn receipt(&mut self) -> Receipt {
        let (reader, peer) = self.reader_and_peer();
        let up_to = if self.rng.chance(60) { BEGIN.plus(FAR_MS) } else { self.moment() };
        Receipt { reader, peer, up_to }
    }

    fn receipts(&mut self) {
        let first_ms = self.rng.below(SPAN_MS);
        if self.rng.chance(300) {
            let receipt = self.receipt();
            let Receipt { reader, peer, up_to } = &receipt;
            let body = format!(
                r#"{{"eventType":"85","accid":"{reader}","ackAccid":"{peer}","ackMsgTime":{up_to},"msgType":"0"}}"#
            );
            return self.tell(Fact::Read(vec![receipt]), vec![body], None, first_ms);
        }
        let receipts: Vec<_> = (0..self.rng.within(1, 4)).map(|_| self.receipt()).collect();
        let object = |r: &Receipt| {
            let Receipt { reader, peer, up_to } = r;
            format!(r#"{{"fromAccount":"{reader}","toAccount":"{peer}","timestamp":"{up_to}"}}"#)
        };
        let mut objects: Vec<_> = receipts.iter().map(object).collect();
        let letter = self.rng.chance(200).then(|| format!("bad-receipt-{}", self.rng.below(1_000_000)));
        if let Some(marker) = &letter {
            objects.push(format!(r#"{{"fromAccount":"{marker}"}}"#));
        }
        let objects = format!("[{}]", objects.join(","));
        let objects = if self.rng.chance(500) {
            serde_json::to_string(&objects).expect("text is JSON")
        } else {
            objects
        };
        let body = format!(r#"{{"eventType":"30","objects":{objects}}}"#);
        self.tell(Fact::Read(receipts), vec![body], letter, first_ms);
    }

    /// A recall of a message, told anywhere near it: often before it.
    fn recall(&mut self) {
        let events: Vec<_> = self.history.events.iter().map(|e| (e.fact.clone(), e.first_ms)).collect();
        let (fact, around) = self.rng.pick(&events).clone();
        let Fact::Sent(Sent { key, from, to, .. }) = fact else { return };
        let event_type = match key.conv_type {
            ConvType::Person => "7",
            ConvType::Team => "8",
            _ => return,
        };
        let first_ms = (around + self.rng.below(1_200)).saturating_sub(400);
        let body = format!(
            r#"{{"eventType":"{event_type}","from":"{from}","to":"{to}","msgId":"{}"}}"#,
            key.server_id
        );
        self.tell(Fact::Recalled(key), vec![body], None, first_ms);
    }

    fn noise(&mut self, number: u64) {
        let first_ms = self.rng.below(SPAN_MS);
        let junk = format!("junk-{number}");
        let (body, letter) = match self.rng.below(4) {
            0 => ("{}".to_owned(), None),
            1 => (r#"{"eventType":"36"}"#.to_owned(), None),
            2 => (format!(r#"{{"eventType":"1","convType":"PERSON","to":"{junk}"}}"#), Some(junk)),
            _ => (format!("not JSON: {junk}"), Some(junk)),
        };
        self.tell(Fact::Noise, vec![body], letter, first_ms);
    }
}
