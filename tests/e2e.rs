//! The real binary, as whoever runs it has it: processes, sockets, signals, standard output.

mod accounts_tools;
mod chat;
mod check;
mod command_line;
mod data_lock;
mod dev;
mod egress_proxy;
mod instances;
mod late_database;
mod log_floods;
mod log_in_trouble;
mod managed_servers;
mod open_files;
mod private_authority;
mod reconcile;
mod shutdown;
mod strangers;
mod upkeep_tools;
mod v10;
