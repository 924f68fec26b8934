//! The results of reviews after delivery (易盾异步反垃圾抄送, eventType 20). NetEase delivers sound, video and pictures first,
//! and deletes what a review then finds bad.

use serde_json::value::RawValue;

use super::fields::Fields;
use crate::domain::message::{ConvType, MessageKey, Recall, TakenBack};

/// `type` begins with the kind of conversation; chat rooms and circles (圈组) have others.
const KINDS: [(&str, ConvType); 3] =
    [("P2P_MSG_", ConvType::Person), ("TEAM_MSG_", ConvType::Team), ("SUPERTEAM_MSG_", ConvType::SuperTeam)];

/// The messages that `objects` withdraws. NetEase promises few of its fields, and whatever does not name a message of
/// ours is a note for others: it is passed over.
pub(super) fn read(objects: Option<&str>) -> Vec<Recall> {
    let listed: Vec<&RawValue> = objects.and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default();
    listed.into_iter().filter_map(|object| withdrawn(&Fields::of(object.get()).ok()?)).collect()
}

fn withdrawn(object: &Fields<'_>) -> Option<Recall> {
    let text = |name| object.need(name).ok();
    let kind = text("type")?;
    let (_, conv_type) = KINDS.into_iter().find(|(begins, _)| kind.starts_with(begins))?;
    let is_hit = text("antispam")? == "true";
    is_hit.then_some(Recall {
        key: MessageKey { conv_type, server_id: object.server_id("serverMsgId").ok()? },
        from: object.accid("from").ok()?,
        to: object.accid("to").ok()?,
        taken_back: TakenBack::ByReview,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::copy::{CopyEvent, parse};

    #[test]
    fn a_review_withdraws_the_messages_that_it_hits_and_nothing_else() {
        let hit = |kind: &str, more: &str| {
            format!(
                r#"{{"type":"{kind}","from":"a","to":"b","serverMsgId":"3","clientMsgId":"x","yidunRes":{{"action":1.0}}{more}}}"#
            )
        };
        let read = |objects: &str| {
            let body = format!(r#"{{"eventType":"20","objects":{objects}}}"#);
            let read = parse(body.as_bytes()).unwrap();
            assert_eq!(read.event_type, "20");
            match read.copy {
                CopyEvent::Withdrawn(recalls) => recalls,
                CopyEvent::Other => Vec::new(),
                other => panic!("{other:?}"),
            }
        };
        let antispam = r#","antispam":true"#;
        for (kind, key) in [
            ("P2P_MSG_AUDIO", Some("PERSON:3")),
            ("P2P_MSG_VIDEO", Some("PERSON:3")),
            ("TEAM_MSG_PICTURE", Some("TEAM:3")),
            ("SUPERTEAM_MSG_AUDIO", Some("SUPER_TEAM:3")),
            ("CHATROOM_MSG_AUDIO", None),
            ("QChat_MSG_PICTURE", None),
        ] {
            let array = format!("[{}]", hit(kind, antispam));
            let text = serde_json::to_string(&array).unwrap();
            for objects in [array, text] {
                let recalls = read(&objects);
                let keys: Vec<String> = recalls.iter().map(|recall| recall.key.to_string()).collect();
                assert_eq!(keys, key.into_iter().collect::<Vec<_>>(), "{objects}");
                assert!(recalls.iter().all(|recall| recall.taken_back == TakenBack::ByReview));
            }
        }
        let person = |more| hit("P2P_MSG_AUDIO", more);
        assert_eq!(read(&format!("[{}, 7, {}]", person(r#","antispam":"true""#), person(antispam))).len(), 2);
        for note in [
            "[]",
            "7",
            "\"no\"",
            "null",
            "[{}]",
            "{}",
            &format!("[{}]", person("")),
            &format!("[{}]", person(r#","antispam":"false""#)),
            &format!("[{}]", person(antispam).replace(r#""3""#, r#""0""#)),
            &format!("[{}]", person(antispam).replace(r#""a""#, r#""张三""#)),
        ] {
            assert_eq!(read(note), [], "{note}");
        }
    }
}
