//! kurultai for Node, the native half. `ts/` is the half that people see.
//!
//! Reading order: [`bridge`] (how a call starts, waits and is answered), [`kurultai`] (the door), the rooms
//! [`tasks`], [`agents`], [`schedules`], [`messages`], [`keys`] with [`identity`], [`events`], the worker's [`jobs`] and [`message_jobs`], then [`args`],
//! [`wire`] and [`answer`]: what comes in and what goes out is JSON text, read and written off the JavaScript thread where
//! that is possible.
#![allow(unsafe_code, reason = "what #[napi] expands to; there is none written by hand")]

mod agents;
mod answer;
mod args;
mod bridge;
mod events;
mod failure;
mod identity;
mod jobs;
mod keys;
mod kurultai;
mod legacy;
mod message_jobs;
mod messages;
mod new_task;
mod numbered;
mod schedules;
mod tasks;
mod wire;
mod wrapping_key;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
