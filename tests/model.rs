//! The unread counts as a model that is explored state by state, with stateright.
//!
//! The view in it is the real one (`otc_im::domain::unread`), and so are changes, loads and snapshots. The log is a
//! few sets that take the steps MongoDB takes, one document at a time. Around them: copies in any order and any
//! number, handlers and loads that may die between any two steps, and a view that may be lost whole, in part, or
//! back to an earlier moment.
//!
//! Two instances of the service share everything but their memory, so the model keeps no list of who does what: a
//! crash takes any part of the work under way, which is the part that was on the instance that crashed.
//!
//! - `scene` says what happens in a model, `world` is a state of it, `log` and `work` its parts;
//! - `steps` are the transitions, `promises` what must hold in every state, `situations` what must be reached;
//! - `exhaustive` explores scenes to the last state, `longer` bigger ones on request;
//! - `machine` runs the real commands and loads one port call at a time, and `replay` compares them, on every pair
//!   of adapters, with walks through the model;
//! - `near` is a model of its own, of the near cache in front of the view; `entries` binds the slots of many readers
//!   to the one slot of it.

mod entries;
mod exhaustive;
mod log;
mod longer;
mod machine;
mod near;
mod promises;
mod replay;
mod scene;
mod situations;
mod stage;
mod steps;
mod work;
mod world;
