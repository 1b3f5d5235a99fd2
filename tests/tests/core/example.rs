//! What the firmware example is made of, as its own sources have it.
#![allow(dead_code, reason = "some is for the device alone")]

#[path = "../../../firmware-example/src/flash.rs"]
pub(crate) mod flash;
#[path = "../../../firmware-example/src/records.rs"]
pub(crate) mod records;
#[path = "../../../firmware-example/src/slots.rs"]
pub(crate) mod slots;
#[path = "../../../firmware-example/src/update.rs"]
pub(crate) mod update;
