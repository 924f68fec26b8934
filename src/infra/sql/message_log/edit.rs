//! Edits of messages that are there, or still to come.

use sqlx::{Sqlite, Transaction};

use crate::domain::message::Edit;
use crate::ports::message_log::Recorded;

/// Of each field the newest edit holds.
pub(super) async fn make(tx: &mut Transaction<'_, Sqlite>, edit: &Edit) -> sqlx::Result<Recorded> {
    let sql = r#"INSERT INTO messages (id, "convType", "to", "fromAccount", "msgTimestamp", "msgidServer", counted,
            "editedAt", body, "bodyEditedAt", attach, "attachEditedAt", ext, "extEditedAt")
         VALUES (?, ?, ?, ?, 0, ?, FALSE, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET
            "editedAt" = max(coalesce("editedAt", -1), excluded."editedAt"),
            body = CASE WHEN excluded."bodyEditedAt" > coalesce("bodyEditedAt", -1) THEN excluded.body ELSE body END,
            "bodyEditedAt" = CASE WHEN excluded."bodyEditedAt" > coalesce("bodyEditedAt", -1)
                THEN excluded."bodyEditedAt" ELSE "bodyEditedAt" END,
            attach = CASE WHEN excluded."attachEditedAt" > coalesce("attachEditedAt", -1)
                THEN excluded.attach ELSE attach END,
            "attachEditedAt" = CASE WHEN excluded."attachEditedAt" > coalesce("attachEditedAt", -1)
                THEN excluded."attachEditedAt" ELSE "attachEditedAt" END,
            ext = CASE WHEN excluded."extEditedAt" > coalesce("extEditedAt", -1) THEN excluded.ext ELSE ext END,
            "extEditedAt" = CASE WHEN excluded."extEditedAt" > coalesce("extEditedAt", -1)
                THEN excluded."extEditedAt" ELSE "extEditedAt" END"#;
    let mut make = sqlx::query(sql)
        .bind(edit.key.to_string())
        .bind(edit.key.conv_type.as_str())
        .bind(edit.to.as_str())
        .bind(edit.from.as_str())
        .bind(edit.key.server_id.get())
        .bind(edit.at.0);
    for value in [&edit.body, &edit.attach, &edit.ext] {
        make = make.bind(value).bind(value.as_ref().map(|_| edit.at.0));
    }
    make.execute(&mut **tx).await?;
    Ok(Recorded::edit())
}
