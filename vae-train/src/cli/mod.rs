//! The command line: one file per verb.

mod attribute;
mod auto;
mod calibrate;
mod context;
mod demo;
mod diff;
mod evaluate;
mod export;
mod fit;
mod generate;
mod import;
mod info;
mod inspect;
mod keygen;
mod progress;
mod rate;
mod record;
mod report;
mod score;
mod screen;
#[cfg(feature = "remote")]
mod serve;
mod sign;
mod simulate;
mod source;
mod split;
mod table;
mod terminal;
mod verify;
mod watch;

use self::context::{Context, GENERAL};
use std::{collections::HashSet, ffi::OsString, process::ExitCode};

use clap::{ArgAction, ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, parser::ValueSource};

use crate::words::foreign::line;

/// From normal data to a detector in a microcontroller, and back.
const EXAMPLE: &str = "Examples:
  vae-train demo
  vae-train record /dev/ttyACM0 --out train.csv --for 10m
  vae-train inspect train.csv
  vae-train fit train.csv --out runs/a
  vae-train calibrate runs/a --normal holdout.csv --alarms 1/week --rate 1600
  vae-train export runs/a --out model.vae
  vae-train evaluate model.vae test.csv --label label
  vae-train watch /dev/ttyACM0 --out scores.csv";

/// Trains variational autoencoders on the desktop and exports them for a microcontroller.
#[derive(Debug, Parser)]
#[command(name = "vae-train", version, propagate_version = true, after_help = EXAMPLE, disable_help_flag = true, disable_version_flag = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Print the result as JSON.
    #[arg(long, global = true, help_heading = GENERAL)]
    json: bool,
    /// Seed of everything random [default: 0].
    #[arg(long, global = true, help_heading = GENERAL)]
    seed: Option<u64>,
    /// Print help: -h names the options that are needed most, --help explains all of them.
    #[arg(short, long, global = true, help_heading = GENERAL, action = ArgAction::Help)]
    help: Option<bool>,
    /// Print the version.
    #[arg(short = 'V', long, global = true, help_heading = GENERAL, action = ArgAction::Version)]
    version: Option<bool>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Demo(demo::Demo),
    Simulate(simulate::Simulate),
    Record(record::Record),
    Inspect(inspect::Inspect),
    Split(split::Split),
    Fit(Box<fit::Fit>),
    Import(import::Import),
    Calibrate(calibrate::Calibrate),
    Export(export::Export),
    Score(score::Score),
    Evaluate(evaluate::Evaluate),
    Info(info::Info),
    Watch(watch::Watch),
    Diff(diff::Diff),
    Attribute(attribute::Attribute),
    Generate(generate::Generate),
    Report(report::Report),
    #[cfg(feature = "remote")]
    Serve(serve::Serve),
    Keygen(keygen::Keygen),
    Sign(sign::Sign),
    Verify(verify::Verify),
}

/// The exit code of a command line that cannot be understood.
const WRONG_USAGE: u8 = 2;

/// Runs the verb named by the arguments, of which the first is the program's name. Exit codes: 0 done, 1 failed, 2 wrong usage.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    terminal::guard_panics();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let odd = arguments.iter().find(|argument| terminal::is_odd(argument));
    // Names of files stand in the lines of a result, too, and none of those is to be made by a name.
    if let Some(argument) = odd.map(|argument| argument.to_string_lossy()).filter(|text| text.contains('\n')) {
        terminal::tell_of(
            "error",
            &format!("the argument `{}` contains a line break: give another name", line(&argument)),
        );
        return ExitCode::from(WRONG_USAGE);
    }
    let parsed = Cli::command()
        .try_get_matches_from(&arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches).map(|cli| (cli, given(&matches))));
    let (Cli { verb, json, seed, .. }, given) = match parsed {
        Ok(parsed) => parsed,
        // Its messages have colours, and arguments as they are.
        Err(error) if odd.is_some() && error.use_stderr() => {
            terminal::tell(error.to_string().trim_end());
            return ExitCode::from(WRONG_USAGE);
        }
        Err(error) => error.exit(),
    };
    let context = Context { json, seed };
    let result = match verb {
        Verb::Demo(verb) => verb.run(context),
        Verb::Simulate(verb) => verb.run(context),
        Verb::Record(verb) => verb.run(context),
        Verb::Inspect(verb) => verb.run(context),
        Verb::Split(verb) => verb.run(context),
        Verb::Fit(verb) => verb.run(context, &given),
        Verb::Import(verb) => verb.run(context),
        Verb::Calibrate(verb) => verb.run(context),
        Verb::Export(verb) => verb.run(context),
        Verb::Score(verb) => verb.run(context),
        Verb::Evaluate(verb) => verb.run(context),
        Verb::Info(verb) => verb.run(context),
        Verb::Watch(verb) => verb.run(context),
        Verb::Diff(verb) => verb.run(context),
        Verb::Generate(verb) => verb.run(context),
        Verb::Report(verb) => verb.run(context),
        #[cfg(feature = "remote")]
        Verb::Serve(verb) => verb.run(),
        Verb::Attribute(verb) => verb.run(context),
        Verb::Keygen(verb) => verb.run(context),
        Verb::Sign(verb) => verb.run(context),
        Verb::Verify(verb) => verb.run(context),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::tell_of("error", &format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The verb's options that stand on the command line: not those that have their defaults.
fn given(matches: &ArgMatches) -> HashSet<String> {
    let Some((_, matches)) = matches.subcommand() else { return HashSet::new() };
    let is_given = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
    matches.ids().map(|id| id.as_str().to_owned()).filter(|name| is_given(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_examples_and_they_parse() {
        let program = Cli::command();
        program.clone().debug_assert();
        for command in program.get_subcommands().chain([&program]) {
            let name = command.get_name();
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = help.strip_prefix("Examples:\n").unwrap_or_else(|| panic!("{name} has no examples: {help}"));
            let mut verbs = Vec::new();
            // A paragraph; what follows it is something else.
            for example in examples.lines().take_while(|line| !line.is_empty()) {
                // Another program's output may be piped into ours.
                let at = example.find("vae-train ").unwrap_or_else(|| panic!("{name}: {example}"));
                let parsed = Cli::try_parse_from(example[at..].split_whitespace());
                parsed.unwrap_or_else(|error| panic!("{name}: {example}: {error}"));
                verbs.extend(example[at..].split_whitespace().nth(1));
            }
            assert!(name == "vae-train" || verbs.contains(&name), "{name}: {examples}");
        }
    }
}
