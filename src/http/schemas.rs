//! Schemas of the OpenAPI document that no type of Rust has by itself: what is one thing or another, and what has bounds.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, Ref, Schema, SchemaFormat,
    Type,
};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::ids::MAX_USER_ID_CHARS;
use crate::domain::outbox::MAX_ATTACH_CHARS;
use crate::ports::outbox::BATCH;
use crate::ports::unread_view::MAX_PEERS;

/// As NetEase has it for the payload of a push (NIM server API, msg/sendAttachMsg).
pub const MAX_PAYLOAD_CHARS: usize = 2048;

/// A user of the site.
pub struct UserId;

/// The users of a page.
pub struct Users;

/// On or off, in a query.
pub struct Switch;

/// The answer to a poll.
pub struct UnreadMap;

/// A message copy, of which this service says nothing that NetEase does not say.
pub struct MessageCopy;

impl PartialSchema for UserId {
    fn schema() -> RefOr<Schema> {
        let id = text(MAX_USER_ID_CHARS).pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]+$"));
        id.description(Some("A user of the site, by the site's own id: no control characters in it.")).into()
    }
}

impl PartialSchema for Users {
    fn schema() -> RefOr<Schema> {
        ArrayBuilder::new()
            .items(Ref::from_schema_name(UserId::name()))
            .min_items(Some(1))
            .max_items(Some(MAX_PEERS))
            .description(Some("The users on the page; one that is named twice is answered once."))
            .examples([serde_json::json!(["bob", "carol"])])
            .into()
    }
}

impl PartialSchema for Switch {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["1", "0"])).into()
    }
}

impl PartialSchema for UnreadMap {
    fn schema() -> RefOr<Schema> {
        let count = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
        ObjectBuilder::new()
            .additional_properties(Some(count.format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))))
            .description(Some("Every user asked for, once, with the number of unread messages from them."))
            .examples([serde_json::json!({"bob": 3, "carol": 0})])
            .into()
    }
}

impl PartialSchema for MessageCopy {
    fn schema() -> RefOr<Schema> {
        any_object().into()
    }
}

impl ToSchema for UserId {}
impl ToSchema for Users {}
impl ToSchema for Switch {}
impl ToSchema for UnreadMap {}
impl ToSchema for MessageCopy {}

/// Who gets a notice.
pub fn to() -> Schema {
    let user = || Ref::from_schema_name(UserId::name());
    let many = ArrayBuilder::new().items(user()).min_items(Some(1)).max_items(Some(BATCH as usize));
    OneOfBuilder::new()
        .item(user())
        .item(many)
        .description(Some("The recipient, or a list of 1 to 5000."))
        .into()
}

/// What a notice brings.
pub fn attach() -> Schema {
    OneOfBuilder::new()
        .item(text(MAX_ATTACH_CHARS))
        .item(any_object())
        .item(ArrayBuilder::new())
        .description(Some(
            "What the client gets: text, or JSON that is passed on as it was written, digit for digit. At most 4096 \
             characters, white space included.",
        ))
        .into()
}

/// What the push of a notice brings.
pub fn payload() -> Schema {
    OneOfBuilder::new()
        .item(any_object())
        .item(text(MAX_PAYLOAD_CHARS).content_media_type("application/json"))
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .description(Some(
            "A JSON object for the push, passed on as it was written, or its text. At most 2048 characters, white \
             space included.",
        ))
        .into()
}

fn text(most: usize) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(most))
}

/// Without "additional properties" said, generators take an object for one that is empty.
fn any_object() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)))
}
