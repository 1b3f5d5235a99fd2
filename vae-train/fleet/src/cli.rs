//! The command line: one file per verb.

mod backtest;
mod context;
#[cfg(feature = "ballista")]
mod executor;
mod fit;
mod query;
#[cfg(feature = "ballista")]
mod scheduler;
#[allow(dead_code, reason = "the trainer's, which needs more of it")]
#[path = "../../src/cli/terminal.rs"]
mod terminal;

use std::{env, ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::cli::context::Context;

/// Heading of the options that every verb has.
const GENERAL: &str = "General";
/// Exit code of a command line that makes no sense; clap's.
const WRONG_USAGE: u8 = 2;

const EXAMPLE: &str = "Examples:
  vae-fleet query \"SELECT machine, time, vae('pump.vae', time, x, y, z) OVER (PARTITION BY machine ORDER BY time) AS judged
                   FROM 'history/**/*.parquet' QUALIFY judged IS NOT NULL\" --out judged.parquet
  vae-fleet backtest pump.vae 'history/**/*.parquet' --by machine --alarms 1/week --out backtest.html
  vae-fleet fit 'history/**/*.parquet' --by machine --out models";

/// Runs the detectors of devices over histories of whole fleets, and makes the fleets' models.
#[derive(Debug, Parser)]
#[command(name = "vae-fleet", version, propagate_version = true, after_help = EXAMPLE)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Print the result as JSON.
    #[arg(long, global = true, help_heading = GENERAL)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Query(query::Query),
    Backtest(backtest::Backtest),
    Fit(fit::Fit),
    #[cfg(feature = "ballista")]
    Scheduler(scheduler::Scheduler),
    #[cfg(feature = "ballista")]
    Executor(executor::Executor),
}

/// Runs the program with the arguments of the process: 0 done, 1 failed with a message that says what to do, 2 wrong usage.
#[must_use]
pub fn main() -> ExitCode {
    terminal::guard_panics();
    let arguments: Vec<OsString> = env::args_os().collect();
    let Cli { verb, json } = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        // Its messages have colours, and arguments as they are.
        Err(error) if error.use_stderr() && arguments.iter().any(|argument| terminal::is_odd(argument)) => {
            terminal::tell(error.to_string().trim_end());
            return ExitCode::from(WRONG_USAGE);
        }
        Err(error) => error.exit(),
    };
    let context = Context { json };
    let result = match verb {
        Verb::Query(verb) => verb.run(context),
        Verb::Backtest(verb) => verb.run(context),
        Verb::Fit(verb) => verb.run(context),
        #[cfg(feature = "ballista")]
        Verb::Scheduler(verb) => verb.run(),
        #[cfg(feature = "ballista")]
        Verb::Executor(verb) => verb.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::tell_of("error", &format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
