//! Runs cases without instrumentation, on all cores if asked for, and compares what comes out with other builds of the same cases.
//!
//! `differential run [--seed N] [--seconds N] [--threads N] [--report N] [--subjects a,b] [--with NAME=COMMAND]… [--core NAME=COMMAND]…`: a seed
//! of 0 is another one each time, and is printed. A `COMMAND` is followed by one more argument, the request (as `model 7 0 500`), and prints
//! the digest of these cases. What fails is printed in base64: it is an input of the fuzz target of the same name.
//! `differential digest 'SUBJECT SEED FIRST COUNT'` answers such a request.
//! `differential case SUBJECT SEED NUMBER` runs one case, and prints it and its digest.
//! `differential write SUBJECT SEED COUNT FOLDER` writes cases as files, for the fuzz targets.
#![allow(clippy::print_stdout)]

use std::{
    env, fmt, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::{Command, ExitCode},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use vae_cases::{Digest, SUBJECTS, Seeds, Subject};

/// Of each subject the cases of a block, about as many as take a quarter of a second; those of them that an emulated core runs, about as many
/// as take it a second; and its share of the time.
const BLOCKS: [(u32, u32, f64); SUBJECTS.len()] =
    [(4000, 100, 1.0), (2000, 60, 4.0), (500, 20, 2.0), (10_000, 100, 4.0), (10_000, 500, 4.0)];
/// One of so many blocks is compared with other builds.
const SAMPLE: u32 = 8;

type Result<T> = std::result::Result<T, String>;

/// Successive cases of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cases {
    subject: usize,
    seed: u32,
    first: u32,
    count: u32,
}

impl fmt::Display for Cases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", SUBJECTS[self.subject].0, self.seed, self.first, self.count)
    }
}

impl Cases {
    fn parse(words: &[&str]) -> Result<Self> {
        let [subject, seed, first, count] = words else { return Err("give SUBJECT SEED FIRST COUNT".into()) };
        let [seed, first, count] = [number(seed)?, number(first)?, number(count)?];
        Ok(Self { subject: subject_named(subject)?, seed, first, count })
    }

    fn subject(&self) -> Subject {
        SUBJECTS[self.subject].1
    }

    /// The digest of all of them, or what was said as one of them failed, with its number.
    fn digest(&self, seeds: &Seeds) -> std::result::Result<u64, (u32, String)> {
        let mut digest = Digest::default();
        for number in self.first..self.first + self.count {
            let run = || {
                let case = self.subject().generate(seeds, self.seed, number);
                self.subject().run(seeds, &case, &mut digest);
            };
            catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                (number, text.unwrap_or_default())
            })?;
        }
        Ok(digest.value())
    }

    fn halves(&self) -> [Self; 2] {
        let half = self.count / 2;
        [Self { count: half, ..*self }, Self { first: self.first + half, count: self.count - half, ..*self }]
    }

    fn only(&self, number: u32) -> Self {
        Self { first: number, count: 1, ..*self }
    }

    /// What to say of the only case, which failed.
    fn report(&self, seeds: &Seeds, why: &str) -> String {
        let case = self.subject().generate(seeds, self.seed, self.first);
        let (name, Self { seed, first, .. }) = (SUBJECTS[self.subject].0, self);
        format!("FAILED: {name}, seed {seed}, case {first}: {why}\ninput in base64: {}", base64(&case))
    }
}

/// Another build of the same cases.
#[derive(Debug)]
struct Other {
    name: String,
    command: Vec<String>,
    is_core: bool,
}

impl Other {
    fn parse(argument: &str, is_core: bool) -> Result<Self> {
        let (name, command) = argument.split_once('=').ok_or("give NAME=COMMAND")?;
        let command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        if command.is_empty() {
            return Err(format!("{name} has no command"));
        }
        Ok(Self { name: name.to_owned(), command, is_core })
    }

    /// The digest as the other build prints it, or all that it prints.
    fn digest(&self, cases: &Cases) -> Result<String> {
        let [program, arguments @ ..] = &self.command[..] else { return Err("no command".into()) };
        let outcome = Command::new(program).args(arguments).arg(cases.to_string()).output();
        let output = outcome.map_err(|error| format!("{program}: {error}"))?;
        let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.success() {
            return Ok(printed);
        }
        Err(format!("{printed} {}", String::from_utf8_lossy(&output.stderr).trim()))
    }

    /// Compares cases, and says which one differs, if one does.
    fn compare(&self, mut cases: Cases, seeds: &Seeds) -> Result<()> {
        if self.is_core {
            cases.count = BLOCKS[cases.subject].1;
        }
        let differs = |cases: &Cases| {
            let own = cases.digest(seeds).map_err(|(_, text)| text).map(|digest| format!("{digest:016x}"));
            let found = self.digest(cases);
            if own == found { None } else { Some(format!("this build says {own:?}, {} {found:?}", self.name)) }
        };
        let Some(mut why) = differs(&cases) else { return Ok(()) };
        while cases.count > 1 {
            let halves = cases.halves();
            // Where neither half differs by itself, it is what comes before that matters, which it must not.
            let Some((half, reason)) = halves.iter().find_map(|half| Some((half, differs(half)?))) else {
                return Err(format!("FAILED: {cases}: {why}, but by no case alone"));
            };
            (cases, why) = (*half, reason);
        }
        Err(cases.report(seeds, &why))
    }
}

/// What has been run of a subject.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    blocks: u32,
    cases: u64,
    /// Of a core, by all threads together, comparisons not counted.
    seconds: f64,
    compared: u64,
}

#[derive(Debug)]
struct Options {
    seed: u32,
    seconds: f64,
    threads: usize,
    report: f64,
    subjects: Vec<usize>,
    others: Vec<Other>,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let subjects = (0..SUBJECTS.len()).collect();
        let mut options = Self { seed: 1, seconds: 10.0, threads: 1, report: 60.0, subjects, others: Vec::new() };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            let value = *arguments.next().ok_or(format!("{name} needs a value"))?;
            match *name {
                "--seed" => options.seed = number(value)?,
                "--seconds" => options.seconds = number(value)?,
                "--threads" => options.threads = number(value)?,
                "--report" => options.report = number(value)?,
                "--subjects" => options.subjects = value.split(',').map(subject_named).collect::<Result<_>>()?,
                "--with" => options.others.push(Other::parse(value, false)?),
                "--core" => options.others.push(Other::parse(value, true)?),
                _ => return Err(format!("no option {name}")),
            }
        }
        if options.seed == 0 {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            options.seed = now.subsec_nanos() ^ now.as_secs() as u32;
        }
        Ok(options)
    }
}

/// The next block of the subject that is furthest behind its share.
fn next_block(done: &mut [Done], options: &Options) -> Cases {
    let behind = |subject: &&usize| done[**subject].seconds / BLOCKS[**subject].2;
    let subject = options.subjects.iter().min_by(|a, b| behind(a).total_cmp(&behind(b))).copied().unwrap_or(0);
    let (count, ..) = BLOCKS[subject];
    let block = done[subject].blocks;
    done[subject].blocks += 1;
    // So that no other thread takes the same subject before this one is through.
    done[subject].seconds += 1e-3;
    Cases { subject, seed: options.seed, first: block.wrapping_mul(count), count }
}

fn run(options: &Options) -> Result<()> {
    println!("seed {}", options.seed);
    let seeds = Seeds::default();
    let begin = Instant::now();
    let state = Mutex::new([Done::default(); SUBJECTS.len()]);
    let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
    let is_over = || begin.elapsed().as_secs_f64() >= options.seconds;
    let work = || -> Result<()> {
        while !is_over() {
            let cases = next_block(&mut *lock(), options);
            let start = processor_seconds(begin);
            cases.digest(&seeds).map_err(|(number, text)| cases.only(number).report(&seeds, &text))?;
            let seconds = processor_seconds(begin) - start;
            let is_compared = (cases.first / cases.count).is_multiple_of(SAMPLE);
            if is_compared {
                options.others.iter().try_for_each(|other| other.compare(cases, &seeds))?;
            }
            let done = &mut lock()[cases.subject];
            done.cases += u64::from(cases.count);
            done.seconds += seconds;
            done.compared += if is_compared { u64::from(cases.count) } else { 0 };
        }
        Ok(())
    };
    let outcome = thread::scope(|scope| {
        let workers: Vec<_> = (0..options.threads.max(1)).map(|_| scope.spawn(work)).collect();
        let mut last = Instant::now();
        while workers.iter().all(|worker| !worker.is_finished()) {
            thread::sleep(Duration::from_millis(50));
            if last.elapsed().as_secs_f64() >= options.report {
                last = Instant::now();
                print(&*lock(), begin.elapsed());
            }
        }
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a thread failed".to_owned())?)
    });
    print(&*lock(), begin.elapsed());
    outcome
}

/// Time that a processor has given this thread, where the system tells; else time.
fn processor_seconds(begin: Instant) -> f64 {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or(begin.elapsed().as_secs_f64(), |nanoseconds| 1e-9 * nanoseconds)
}

fn print(done: &[Done], elapsed: Duration) {
    let total: u64 = done.iter().map(|done| done.cases).sum();
    println!("{total} cases in {:.0} s", elapsed.as_secs_f64());
    for ((name, _), done) in SUBJECTS.iter().zip(done) {
        let rate = if done.seconds > 0.0 { done.cases as f64 / done.seconds } else { 0.0 };
        println!("  {name:12} {:>12} cases {rate:>8.0} a second and core {:>12} compared", done.cases, done.compared);
    }
}

fn main() -> ExitCode {
    // What fails is said once, with its input.
    std::panic::set_hook(Box::new(|_| {}));
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["run", ref options @ ..] => Options::parse(options).and_then(|options| run(&options)),
        ["digest", request] => Cases::parse(&request.split(' ').collect::<Vec<_>>()).and_then(|cases| {
            let digest = cases.digest(&Seeds::default()).map_err(|(number, text)| format!("case {number}: {text}"))?;
            println!("{digest:016x}");
            Ok(())
        }),
        ["case", subject, seed, number] => Cases::parse(&[subject, seed, number, "1"]).and_then(|cases| {
            let seeds = Seeds::default();
            println!("{}", base64(&cases.subject().generate(&seeds, cases.seed, cases.first)));
            println!("{:016x}", cases.digest(&seeds).map_err(|(_, text)| text)?);
            Ok(())
        }),
        ["write", subject, seed, count, folder] => {
            Cases::parse(&[subject, seed, "0", count]).and_then(|cases| write(&cases, Path::new(folder)))
        }
        _ => Err("give run, digest, case or write: what they take stands at the beginning of the source".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write(cases: &Cases, folder: &Path) -> Result<()> {
    let seeds = Seeds::default();
    for number in 0..cases.count {
        let path = folder.join(format!("{}-{number}", cases.seed));
        let case = cases.subject().generate(&seeds, cases.seed, number);
        fs::write(&path, case).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn subject_named(name: &str) -> Result<usize> {
    let found = SUBJECTS.iter().position(|(subject, _)| *subject == name);
    found.ok_or_else(|| format!("no subject {name}: {}", SUBJECTS.map(|(name, _)| name).join(", ")))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let code = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit <= chunk.len() { DIGITS[code as usize] as char } else { '=' });
        }
    }
    text
}
