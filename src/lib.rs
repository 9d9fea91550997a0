//! `cluster` supervises worker processes on one Linux host and loses nothing: the supervisor for programs in
//! any language and as a library, and a shop that proves it.
//!
//! A program is an [`App`]: a name, and a function that makes the routes of one worker.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//!
//! fn main() -> std::process::ExitCode {
//!     cluster::App::new("hello")
//!         .boot(|worker| async move {
//!             let text = format!("hello from worker {}\n", worker.identity().life);
//!             Ok(Router::new().route("/", get(async move || text.clone())))
//!         })
//!         .run()
//! }
//! ```
//!
//! The README and the folder `docs` say how to use it. The rest of this page is for people who read or change
//! the code.
//!
//! # Map
//!
//! Read in this order.
//!
//! | module | owns | must not know |
//! |---|---|---|
//! | [`base`] | identities, time, backoff, budget, money, exit codes (pure) | any other module |
//! | [`config`] | the configuration: keys, units, defaults, errors (pure) | files, sockets, clocks |
//! | [`pool`] | what the master decides: slots, rollouts, restarts, routing (pure) | processes, sockets |
//! | `saga` | the steps of an order, and what follows from each outcome (pure) | SQL, HTTP, the caller |
//! | [`sys`] | `unsafe` and raw system calls | every policy |
//! | [`scoreboard`] | the shared page that a worker beats in | its readers |
//! | [`output_ring`] | the last lines that a worker's program printed | where else they go |
//! | [`lifeline`] | the messages between master and worker | what they lead to |
//! | [`metrics`] | the numbers of all lives, put together | HTTP, and who asks |
//! | [`control`] | the messages of the control socket, and its client | how the master answers |
//! | [`observe`] | log lines that never block | what they say |
//! | `store` | one SQLite file: writer thread, lock, group commit | the shop |
//! | `postgres` | a PostgreSQL database: one flight for a transaction | the shop |
//! | [`http`] | problem documents and checks that every HTTP server needs | the shop |
//! | [`worker`] | a worker: boot, connections, requests, drain, beats | the shop |
//! | [`agent`] | a worker that runs a program of the user's, and answers for it to the master | the shop, the pool |
//! | [`master`] | the loop that waits, asks the pool, and acts | the shop, HTTP, SQL, async |
//! | `shop` | orders, inventory, payments, their sagas, their routes | the inside of the supervisor |
//! | `torture` | a cluster that is broken on purpose, and the verdict | the inside of the supervisor |
//! | [`cli`] | flags, commands, what is printed | how it is done |
//!
//! `saga`, `store`, `shop` and `torture` belong to the cargo feature `shop`, which is on by default and turns on
//! `grpc`: gRPC services in a worker. `postgres` is a feature of its own, on by default, too. Each layer may
//! import what stands to the right of it:
//!
//! ```text
//! main, cli → master | worker → shop, http, postgres, store, metrics, scoreboard, output_ring, lifeline,
//!           control, observe → sys → pool, saga, config → base
//! ```
//!
//! # Where is it?
//!
//! | question | file below `src` |
//! |---|---|
//! | Which keys does the configuration have? | `config/keys.rs`; those of the shop: `shop/settings.rs` |
//! | Where is a worker's heartbeat judged? | `pool/worker/heartbeat.rs` |
//! | Where is decided when a dead worker is replaced? | `pool/slot/restart.rs` |
//! | Where is a reload decided? | `pool/reload.rs`, step by step in `pool/deploy/rollout.rs` |
//! | Where is decided which slot gets new connections? | `pool/routing/steering.rs` |
//! | Where does the master wait, and act? | `master/run.rs`, `master/gather.rs`, `master/perform.rs` |
//! | Where is a worker process started? | `master/process/spawn.rs` |
//! | Where is a connection accepted? | `worker/accept/acceptor.rs` |
//! | Where is a request answered? | `worker/connection/drive.rs`, then `worker/request/edge.rs` |
//! | Where is a gRPC call limited? | `worker/request/grpc.rs`; answered: `worker/grpc`, `shop/grpc` |
//! | Where does a worker drain? | `worker/draining.rs`; with a program: `agent/draining.rs` |
//! | Where is a program of the user's started? | `agent/launch.rs` |
//! | Where is judged whether a program is ready, and alive? | `agent/readiness.rs`, `agent/liveness.rs` |
//! | Where gets a Node program its listeners? | `agent/conversation.rs`, bound in `master/listeners/lending.rs` |
//! | Where is an order placed? | `shop/http/place_order.rs`, written in `shop/orders/sqlite/orders.rs` |
//! | Where are events written, and read? | `shop/orders/sqlite/outbox.rs`; `shop/events/feed.rs` |
//! | Where are the summaries of customers kept up to date? | `shop/customers/consumer.rs` |
//! | Where is refused while no worker can serve? | `worker/stub.rs`; decided in `pool/routing/stub.rs` |
//! | Where are databases moved from one engine to the other? | `shop/moving/run.rs` |
//! | Which steps has an order? | `saga/definition.rs` |
//! | Where are the orders of a dead worker taken over? | `shop/recovery/takeover.rs` |
//! | Where is one transaction committed for many requests? | `store/batch.rs` |
//! | Where is a command of a person received? | `master/control/server.rs` |
//! | Which fields may a log line have? | `observe/fields.rs` |
//! | What crosses to workers of another user? | `master/process/spawn.rs`, `master/process/environment.rs` |
//! | Which exit codes are there? | `base/exit.rs` |
//!
//! # Glossary
//!
//! Each term has one meaning in the code, in the documents and in messages.
//!
//! **Processes**
//!
//! - **master**: the process that owns the listening sockets and supervises the workers.
//! - **worker**: a process that serves requests; the same binary, started by the master.
//! - **slot**: a place for one worker, with a listener for each address. Slots are counted from 0.
//! - **epoch**: how often a slot was filled, counted from 1.
//! - **incarnation**: how often a master was started over a data directory.
//! - **life**: one worker from its start to its end, named `incarnation/slot/epoch`, as in `7/0/3`. A life
//!   never repeats; a pid does.
//! - **generation**: one pair of binary and configuration. Each reload makes the next.
//! - **replacement**: a worker that is started to take the place of another.
//!
//! **Health**
//!
//! - **beat**: the time stamp that a worker writes into its scoreboard from the thread that runs the
//!   handlers. Beats lie on a **grid**: multiples of `heartbeat_interval` on the monotonic clock.
//! - **late**: a beat is missing. The slot is in **quarantine**: it gets no new connections until the worker
//!   beats again.
//! - **hung**: the last beat is older than `heartbeat_timeout`. The worker is killed.
//! - **stall**: time in which the master itself could not look. It is discounted from the age of a beat.
//! - **backoff**: the growing wait before a slot whose worker died early is filled again.
//! - **breaker**: opens when a slot has too many deaths in a window. The slot is **degraded**: filled only
//!   now and then.
//! - **stub**: the process that refuses connections while no worker can serve, because the breaker of every
//!   slot is open.
//! - **certificate**: what is recorded about the end of a life; `cluster why` prints it.
//! - **violation**: a message of a worker that breaks the protocol. It is dropped.
//!
//! **A worker's life**
//!
//! - **ready**: the worker said `READY=1`; it is never guessed.
//! - **drain**: to finish what was accepted and take nothing new. Its **mode** says how long silent
//!   connections are kept.
//! - **kill**: SIGKILL. **Stop**: a graceful end of the whole cluster.
//! - **orphaned**: without its master (a worker), or without its owner (work).
//! - **takeover**: a worker continues the unfinished work of a dead one.
//!
//! **Changes**
//!
//! - **rollout**: workers of one generation replace those of another, slot by slot. A **reload** rolls out
//!   what is on disk now; a **rollback** rolls out the generation before.
//! - **canary**: the first worker of a rollout. It **bakes**: it serves for `bake_time` while its answers are
//!   compared with those of the old generation.
//! - **back out**: to give up a rollout and give the slots back to the old generation.
//! - **scale**: to change the number of slots. **Restart**: to replace the worker of one slot.
//! - **upgrade**: another binary becomes the master, in the same process. The new binary **rehearses** first:
//!   it runs as a child with the state and the descriptors that it would take over. Then the master **hands
//!   over**: it executes the binary.
//! - **operation**: the rollout, replacement or upgrade that is under way; at most one.
//! - **verdict**: how an operation that somebody asked for ended.
//!
//! **Connections**
//!
//! - **listener**: a listening socket. All listeners of an address are one SO_REUSEPORT **group**.
//! - **accept queue**: the connections of a listener that wait to be accepted.
//! - **steering**: the program on a group that says which slot gets a new connection. Each slot has a
//!   **weight**; an **unrouted** slot gets none.
//! - **park**: to keep the listener of a slot without a worker. **Adopt**: to serve the queue of another
//!   slot.
//! - **capacity**: how many connections a worker may have. The **reserve descriptor** is kept open so that
//!   one connection can still be accepted and refused when no descriptors are left.
//! - **edge**: the part of a worker between a connection and the application's routes: limits, time-outs,
//!   problem documents.
//! - **scoreboard**: a page of shared memory per worker, with its beat, its counters and its requests. A
//!   **sample** is what one look at a scoreboard gave.
//! - **program**: what `cluster run` starts in each worker; it knows nothing of this one. Its worker is the
//!   **agent**: it starts the program, judges it, and answers for it to the master.
//! - **lend**: the master opens a listener that a program has asked for while it ran, once for all slots.
//! - **stray**: a process that a program has left behind.
//! - **pulse**: what a program says of its own life. **Evidence**: what the kernel tells about it.
//! - **lifeline**: the socket pair between master and worker. Its end says that the other side is gone.
//! - **notification**: a message of a worker in the protocol of systemd's `sd_notify`.
//! - **control socket**: where commands reach the master.
//!
//! **The decision core**
//!
//! - **pool**: the state of all slots, and the functions that decide about them.
//! - **event**: what happened, in the past tense; it comes in. **Effect**: what is to be done; it goes out.
//! - **command**: asks for something, in the imperative. **Reply** answers a command; **response** is HTTP's.
//! - **host**: the side of the master that touches the operating system. **Poller**: its epoll set.
//! - **reconcile**: to compare what is wanted with what there is, and to order what is missing.
//! - **timeout**: a duration. **Deadline**: an instant.
//!
//! **Orders**
//!
//! - **saga**: the list of **steps** that make an order, each with a **compensation** that undoes it.
//! - **pivot**: the step after which nothing is undone: the charge.
//! - **outcome** of a step: **done**, **refused** or **unknown**. From unknown nothing is undone.
//! - **attempt**: one try of a step. **Budget**: for how long a step is tried; all owners of a saga share it.
//! - **parked** (an order): its budgets are used up, and a person decides. (A parked *listener* has no
//!   worker.)
//! - **claim**: the act of becoming the owner of a saga; each has a higher number. The **claim token**
//!   travels in every command, and a service refuses a lower number than it has seen. (Elsewhere: fencing
//!   token.)
//! - **fence**: a record in each database that one life may write nothing more.
//! - **reservation**: stock that is held for an order. **Charge**, **refund**: money.
//! - **outbox**: messages that are written in the transaction that causes them. **Inbox**: messages that were
//!   received, written in the transaction of their effect.
//! - **feed**: the events of all outboxes as one line. A **position** says how far a reader has come in it; a
//!   **stream** (of events) is the line of numbers of one outbox, which ends when its file is replaced.
//! - **read model**: totals that follow the events in a database of their own, and can be built anew.
//! - **signal** (of events): what a process sends after a commit with events, for readers that wait.
//! - **idempotency key**: the client's name for one request. **Provider key**: our name for one charge.
//! - **provider**: the outside party that moves money; **sandbox** is the one that is built in, and its
//!   **ledger** is an independent witness of what was charged.
//! - **steady clock**: the wall clock without the steps that somebody makes in it.
//! - **leader lock**: its holder does the **maintenance** of the databases: retention, checkpoints.
//!
//! **Evidence**
//!
//! - **audit**: the checks that stock, money and orders add up. `cluster doctor` runs them.
//! - **consistency**: whether the files of a data directory belong together; checked at the start.
//! - **order report**: all that is on disk about one order, and what comes next.
//! - **torture**: a cluster that is broken on purpose while orders are placed. **Tampering**: to spoil one
//!   record, which the verdict must find.
//!
//! **The store**
//!
//! - **store**: one SQLite file that several processes write.
//! - **repository**: the functions of a service that run its SQL, one per transaction.
//! - **group commit**: many requests, one transaction, one sync.
//! - **checkpoint**: moving the write-ahead log into the database file.
//! - **lock wait**: the wait for the lock that every writer takes first.

pub mod agent;
pub mod base;
pub mod cli;
pub mod config;
pub mod control;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod http;
pub mod lifeline;
pub mod master;
pub mod metrics;
pub mod observe;
pub mod output_ring;
pub mod pool;
#[cfg(feature = "postgres")]
pub mod postgres;
mod run;
#[cfg(feature = "shop")]
pub mod saga;
pub mod scoreboard;
#[cfg(feature = "shop")]
pub mod shop;
#[cfg(feature = "shop")]
pub mod store;
pub mod sys;
#[cfg(feature = "shop")]
pub mod torture;
pub mod worker;

pub use worker::{App, Worker};
