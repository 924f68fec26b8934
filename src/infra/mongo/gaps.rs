//! The flow of copies and its gaps: `copy_flow` (one document), `copies_by_hour`, `gaps` and `active_users`.

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use mongodb::options::ReturnDocument;

use super::MongoLog;
use super::document::{as_accid, unexpected};
use super::operation::{bounded, long, store_error};
use super::update::outcomes;
use crate::domain::ids::{Accid, Millis};
use crate::domain::silence::{HOUR_MS, hour_of};
use crate::ports::StoreError;
use crate::ports::gaps::{Beat, ClaimedGap, Gap, GapCause, Gaps};

/// The `_id` of the one document of `copy_flow`.
const FLOW: &str = "flow";

impl MongoLog {
    fn of_flow(&self, collection: &str) -> Collection<Document> {
        self.database.collection(collection)
    }

    async fn update(&self, collection: &str, query: Document, update: Document) -> Result<bool, StoreError> {
        let collection = self.of_flow(collection);
        let update = async move { collection.update_one(query, update).await };
        Ok(bounded(update).await.map_err(store_error)?.matched_count == 1)
    }
}

#[async_trait]
impl Gaps for MongoLog {
    async fn last_beat(&self) -> Result<Beat, StoreError> {
        let flow = self.of_flow("copy_flow");
        let last = async move { flow.find_one(doc! { "_id": FLOW }).await };
        let last = bounded(last).await.map_err(store_error)?.unwrap_or_default();
        let known = |name| last.get_i64(name).ok().map(Millis);
        Ok(Beat { at: known("at"), newest: known("newest") })
    }

    async fn beat(&self, now: Millis, copies: u64, newest: Option<Millis>) -> Result<(), StoreError> {
        let mut latest = doc! { "at": now.0 };
        if let Some(newest) = newest {
            latest.insert("newest", newest.0);
        }
        let (flow, latest) = (self.of_flow("copy_flow"), doc! { "$max": latest });
        let beat = async move { flow.update_one(doc! { "_id": FLOW }, latest).upsert(true).await };
        bounded(beat).await.map_err(store_error)?;
        if copies > 0 {
            let (hours, hour) = (self.of_flow("copies_by_hour"), doc! { "_id": hour_of(now) });
            let more = doc! { "$inc": { "copies": i64::try_from(copies).unwrap_or(i64::MAX) } };
            let count = async move { hours.update_one(hour, more).upsert(true).await };
            bounded(count).await.map_err(store_error)?;
        }
        Ok(())
    }

    async fn hours(&self, since: i64) -> Result<Vec<(i64, u64)>, StoreError> {
        let hours = self.of_flow("copies_by_hour");
        let find = async move { hours.find(doc! { "_id": { "$gte": since } }).await?.try_collect().await };
        let found: Vec<Document> = bounded(find).await.map_err(store_error)?;
        let number =
            |hour: &Document, name| hour.get_i64(name).map_err(|_| unexpected("no number of an hour"));
        let hour = |hour: Document| Ok((number(&hour, "_id")?, number(&hour, "copies")?.unsigned_abs()));
        found.into_iter().map(hour).collect()
    }

    async fn put(&self, gap: &Gap) -> Result<(), StoreError> {
        let (gaps, id) = (self.of_flow("gaps"), doc! { "_id": &gap.id });
        let grown = doc! {
            "$max": { "to": gap.to.0 },
            "$min": { "from": gap.from.0 },
            "$set": { "cause": gap.cause.as_str() },
            "$setOnInsert": { "leasedUntil": 0_i64 },
        };
        let put = async move { gaps.update_one(id, grown).upsert(true).await };
        bounded(put).await.map(drop).map_err(store_error)
    }

    async fn claim(
        &self,
        holder: &str,
        before: Millis,
        now: Millis,
        lease: Millis,
    ) -> Result<Option<ClaimedGap>, StoreError> {
        let free = doc! { "to": { "$lte": before.0 }, "leasedUntil": { "$lte": now.0 } };
        let ours = doc! { "$set": { "holder": holder, "leasedUntil": lease.0 } };
        let gaps = self.of_flow("gaps");
        let claim = async move {
            let claim = gaps.find_one_and_update(free, ours).sort(doc! { "from": 1 });
            claim.return_document(ReturnDocument::After).await
        };
        let Some(found) = bounded(claim).await.map_err(store_error)? else { return Ok(None) };
        let time = |name| found.get_i64(name).map(Millis).map_err(|_| unexpected("no time in a gap"));
        let cause = found.get_str("cause").ok().and_then(GapCause::from_name);
        Ok(Some(ClaimedGap {
            gap: Gap {
                id: found.get_str("_id").unwrap_or_default().to_owned(),
                cause: cause.ok_or_else(|| unexpected("no cause of a gap"))?,
                from: time("from")?,
                to: time("to")?,
            },
            holder: holder.to_owned(),
            after: found.get_str("after").ok().map(|after| as_accid(Some(after), "after")).transpose()?,
        }))
    }

    async fn progress(&self, gap: &ClaimedGap, lease: Millis) -> Result<bool, StoreError> {
        let ours = doc! { "_id": &gap.gap.id, "holder": &gap.holder };
        let after = gap.after.as_ref().map(Accid::as_str);
        self.update("gaps", ours, doc! { "$set": { "after": after, "leasedUntil": lease.0 } }).await
    }

    async fn close(&self, gap: &ClaimedGap) -> Result<(), StoreError> {
        let ours = doc! { "_id": &gap.gap.id, "holder": &gap.holder };
        let mut same = ours.clone();
        same.extend(doc! { "to": gap.gap.to.0, "from": gap.gap.from.0 });
        let gaps = self.of_flow("gaps");
        let gone = bounded(async move { gaps.delete_one(same).await }).await.map_err(store_error)?;
        if gone.deleted_count == 0 {
            let anew = doc! { "$set": { "leasedUntil": 0_i64 }, "$unset": { "after": "", "holder": "" } };
            self.update("gaps", ours, anew).await?;
        }
        Ok(())
    }

    async fn note_active(&self, users: &[Accid], day: i64) -> Result<(), StoreError> {
        let note = |user: &Accid| {
            let later = doc! { "$max": { "day": day } };
            doc! { "q": { "_id": user.as_str() }, "u": later, "upsert": true }
        };
        let noted = self.update_each("active_users", users.iter().map(note).collect()).await;
        outcomes(noted).into_iter().collect()
    }

    async fn active(
        &self,
        since_day: i64,
        after: Option<&Accid>,
        limit: u32,
    ) -> Result<Vec<Accid>, StoreError> {
        let users = self.of_flow("active_users");
        let late = doc! { "_id": { "$gt": after.map_or("", Accid::as_str) }, "day": { "$gte": since_day } };
        let find = async move {
            users.find(late).sort(doc! { "_id": 1 }).limit(limit.into()).await?.try_collect().await
        };
        let found: Vec<Document> = long(find).await.map_err(store_error)?;
        found.iter().map(|user| as_accid(user.get_str("_id").ok(), "_id")).collect()
    }

    async fn forget_flow(&self, before_day: i64) -> Result<(), StoreError> {
        for (collection, old) in [
            ("copies_by_hour", doc! { "_id": { "$lt": before_day * 24 } }),
            ("active_users", doc! { "day": { "$lt": before_day } }),
            ("gaps", doc! { "to": { "$lt": before_day * 24 * HOUR_MS } }),
        ] {
            let collection = self.of_flow(collection);
            long(async move { collection.delete_many(old).await }).await.map_err(store_error)?;
        }
        Ok(())
    }
}
