//! Whether it is odd that no copy comes: compared with the same hour of the days before.

use super::ids::Millis;

/// Milliseconds of an hour.
pub const HOUR_MS: i64 = 3_600_000;
/// Days that are compared.
pub const DAYS: i64 = 7;
/// Days that must be known, so that one odd day decides nothing.
const LEAST_DAYS: usize = 3;
/// Copies that were to be expected in a silence before it is odd.
const EXPECTED: i64 = 20;
/// No silence shorter than this is odd: ten minutes.
pub const SHORTEST_MS: i64 = 10 * 60_000;
/// A site so quiet that a longer one is usual tells nothing by its silence.
const LONGEST_MS: i64 = 2 * HOUR_MS;

/// The hour in which a time lies, counted from 1970.
pub fn hour_of(at: Millis) -> i64 {
    at.0.div_euclid(HOUR_MS)
}

/// How long no copy may come at `now` before that is odd, by how many came in each hour of late. `None`: nothing can be
/// said, because too few days are known or too few copies come at this hour.
pub fn odd_silence_ms(hours: &[(i64, u64)], now: Millis) -> Option<i64> {
    let this = hour_of(now);
    let known_since = hours.iter().map(|(hour, _)| *hour).min()?;
    let days = (1..=DAYS).map(|day| this - day * 24).filter(|hour| *hour > known_since);
    let copies =
        days.map(|hour| hours.iter().find(|(known, _)| *known == hour).map_or(0, |(_, copies)| *copies));
    let copies: Vec<u64> = copies.collect();
    let quietest = i64::try_from(*copies.iter().min()?).unwrap_or(i64::MAX);
    if copies.len() < LEAST_DAYS || quietest == 0 {
        return None;
    }
    let odd = (EXPECTED * HOUR_MS / quietest).max(SHORTEST_MS);
    (odd <= LONGEST_MS).then_some(odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 24 * 100 + 15;

    /// So many copies at this hour, one to so many days ago; and some in every hour of the first of them.
    fn odd(days: &[u64]) -> Option<i64> {
        let at_this_hour = days.iter().zip(1..).map(|(copies, day)| (NOW - day * 24, *copies));
        let first = NOW - 24 * i64::try_from(days.len() + 1).unwrap();
        let hours: Vec<_> = at_this_hour.chain([(first, 1)]).collect();
        odd_silence_ms(&hours, Millis(NOW * HOUR_MS + 1))
    }

    #[test]
    fn the_quietest_day_decides() {
        assert_eq!(odd(&[1_000, 5_000, 60, 9_000]), Some(20 * 60_000));
        assert_eq!(odd(&[1_000, 5_000, 700]), Some(SHORTEST_MS), "never shorter");
        assert_eq!(odd(&[10, 10, 10]), Some(LONGEST_MS));
    }

    #[test]
    fn nothing_is_said_of_what_is_not_known_or_hardly_used() {
        assert_eq!(odd_silence_ms(&[], Millis(NOW * HOUR_MS)), None);
        assert_eq!(odd(&[1_000, 1_000]), None, "two days are too few");
        assert_eq!(odd(&[1_000, 1_000, 1_000, 0]), None, "nobody wrote on that day");
        assert_eq!(odd(&[1_000, 9, 1_000]), None, "too few copies");
    }
}
