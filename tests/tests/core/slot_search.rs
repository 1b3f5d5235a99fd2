//! The slots of the over-the-air example, by search: every sequence of files sent, power cuts and a bit that rots, up to a length, with files
//! that are a few words. What is searched is the firmware's own code, and the code that it had before, whose faults must be found.

use std::{collections::HashSet, fmt};

use rayon::prelude::*;

use crate::example::{
    flash::{Cut, Flash, FlashError, PAGE, Power, WORD},
    records::Records,
    slots::{Authority, SLOTS, Slots},
};

/// A file: what it is, a checksum, and a signature, a word each.
const FILE: usize = 3 * WORD;
/// Bytes of a page that are ever read: a file, or a record of four words with its number and checksum.
const USED: usize = 6 * WORD;
/// Three slots of a page, and the record; the code before had two slots, and its record in the last two pages, too.
const PAGES: usize = SLOTS + 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct File {
    name: char,
    counter: u8,
    is_signed: bool,
    is_fit: bool,
}

const fn file(name: char, counter: u8, is_signed: bool, is_fit: bool) -> File {
    File { name, counter, is_signed, is_fit }
}

const FACTORY: File = file('f', 0, true, true);
/// What is sent; of the last, one word arrives.
const SENT: [File; 7] = [
    file('g', 2, true, true),
    file('h', 3, true, true),
    file('o', 1, true, true),
    file('x', 4, true, false),
    file('u', 5, false, true),
    file('r', 0, true, true),
    JUNK,
];
const JUNK: File = file('j', 9, false, true);

impl File {
    fn bytes(self) -> Vec<u8> {
        let word = [self.name as u8, self.counter, u8::from(self.is_fit), 0xA5];
        let signature = if self.is_signed { signature(word) } else { [0xFF; WORD] };
        let bytes = [word, checksum(&word), signature].concat();
        if self == JUNK { bytes[..WORD].to_vec() } else { bytes }
    }

    /// The file that a slot begins with, if it is sound.
    fn in_slot(slot: &[u8]) -> Option<Self> {
        let [word, sum, found, ..] = *slot.as_chunks::<WORD>().0 else { return None };
        let [name, counter, is_fit, _] = word;
        let is_signed = found == signature(word);
        (sum == checksum(&word)).then_some(Self { name: name.into(), counter, is_signed, is_fit: is_fit == 1 })
    }
}

static CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

fn checksum(bytes: &[u8]) -> [u8; WORD] {
    CRC.checksum(bytes).to_le_bytes()
}

/// Which only the holder of the key can make.
fn signature(word: [u8; WORD]) -> [u8; WORD] {
    checksum(&[word, *b"key!"].concat())
}

/// Why a toy file is refused.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Flash(FlashError),
    File,
}

impl From<FlashError> for Refusal {
    fn from(error: FlashError) -> Self {
        Self::Flash(error)
    }
}

struct Toy;

impl Authority for Toy {
    type Error = Refusal;

    fn file_len(&self, slot: &[u8]) -> usize {
        File::in_slot(slot).map_or(0, |_| FILE)
    }

    fn authenticate(&mut self, file: &[u8], least: u32) -> Result<u32, Refusal> {
        let counter = |file: File| u32::from(file.counter);
        let found =
            File::in_slot(file).filter(|found| file.len() == FILE && found.is_signed && counter(*found) >= least);
        found.map(counter).ok_or(Refusal::File)
    }

    fn identify(&mut self, slot: &[u8]) -> Result<u32, Refusal> {
        File::in_slot(slot).filter(|file| file.is_fit).ok_or(Refusal::File)?;
        Ok(u32::from_le_bytes(slot.as_chunks().0[1]))
    }
}

/// What a boot starts, and the least counter that it then takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Started {
    file: File,
    least: u32,
}

/// A device: boots, and then receives a file if one is sent. `None` if nothing can be started.
type Device = fn(&mut [u8], &Power, Option<&[u8]>) -> Option<(Started, Result<(), Refusal>)>;

fn partitions<'f>(flash: &'f mut [u8], power: &'f Power) -> [Flash<'f>; PAGES - 1] {
    let (record, slots) = flash.split_at_mut(2 * PAGE);
    let mut slots = slots.chunks_exact_mut(PAGE);
    let mut next = || Flash::new(slots.next().unwrap(), power);
    let [first, second, third] = [next(), next(), next()];
    [Flash::new(record, power), first, second, third]
}

fn now(flash: &mut [u8], power: &Power, file: Option<&[u8]>) -> Option<(Started, Result<(), Refusal>)> {
    let [record, first, second, third] = partitions(flash, power);
    let mut slots = Slots::new([first, second, third], record);
    let mut running = slots.boot(&mut Toy).ok()?;
    let started = Started { file: File::in_slot(running.slot()).unwrap(), least: running.counter() };
    let outcome = file.map_or(Ok(()), |file| running.install(file, &mut Toy));
    Some((started, outcome))
}

/// As it was: two slots, one record of the slot that is used and its counter, and the signature checked behind the writing.
fn before(flash: &mut [u8], power: &Power, file: Option<&[u8]>) -> Option<(Started, Result<(), Refusal>)> {
    use embedded_storage::nor_flash::NorFlash;
    let [record, first, second, _] = partitions(flash, power);
    let mut selector = Records::<{ 2 * WORD }>::new(record);
    let (selected, mut least) = match selector.newest().unwrap() {
        Some([slot, _, _, _, counter @ ..]) => (slot == 1, u32::from_le_bytes(counter)),
        None => (false, 0),
    };
    let (mut used, mut spare) = if selected { (second, first) } else { (first, second) };
    let mut spare_index = u8::from(!selected);
    if File::in_slot(used.bytes()).is_none() {
        std::mem::swap(&mut used, &mut spare);
        spare_index = 1 - spare_index;
    }
    let started = Started { file: File::in_slot(used.bytes())?, least };
    let mut install = |file: &[u8]| {
        spare.erase(0, PAGE as u32)?;
        spare.write(0, file)?;
        let counter = Toy.authenticate(&spare.bytes()[..file.len()], least)?;
        Toy.identify(spare.bytes())?;
        let [a, b, c, d] = counter.to_le_bytes();
        selector.store(&[spare_index, 0xFF, 0xFF, 0xFF, a, b, c, d])?;
        least = counter;
        Ok(())
    };
    let outcome = file.map_or(Ok(()), &mut install);
    Some((started, outcome))
}

/// What happens to a device.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    Sent(File, Option<(u32, u8)>),
    Booted(Option<(u32, u8)>),
    Rotted(usize),
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent(file, cut) => write!(f, "sent {} {cut:?}", file.name),
            Self::Booted(cut) => write!(f, "booted {cut:?}"),
            Self::Rotted(bit) => write!(f, "bit {} of byte {} of page {}", bit % 8, bit / 8 % USED, bit / 8 / USED),
        }
    }
}

/// How a power cut leaves what it interrupts: whole, or one of some mixtures.
const MIXTURES: u8 = 3;

fn power(cut: Option<(u32, u8)>) -> Power {
    Power::new(cut.map(|(operation, how)| (operation, if how == 0 { Cut::After } else { Cut::Midway(how.into()) })))
}

/// What must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// A boot starts what was never accepted.
    Unaccepted(File),
    /// A boot starts nothing.
    Nothing,
    /// A boot starts what is older than the one before the newest, or than the newest where nothing has rotted.
    Older(File),
    /// The least counter is below that of the newest accepted.
    Forgotten(u32),
    /// A file is taken that is not to be, or not taken that is.
    Wrong(File),
}

#[derive(Clone)]
struct State {
    /// The bytes that are ever read.
    flash: [[u8; USED]; PAGES],
    /// What was accepted, one after the other.
    accepted: Vec<File>,
    /// What would have been, had the power not failed.
    perhaps: Vec<File>,
    left: Budget,
    trace: Vec<Event>,
}

/// How many of each event there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Budget {
    sent: u8,
    cuts: u8,
    rotted: u8,
}

type Key = ([[u8; USED]; PAGES], Vec<File>, Vec<File>, Budget);

impl State {
    fn new(left: Budget) -> Self {
        let mut flash = [[0xFF; USED]; PAGES];
        // In two slots, so that even a new device has one to fall back to.
        flash[2..4].iter_mut().for_each(|slot| slot[..FILE].copy_from_slice(&FACTORY.bytes()));
        Self { flash, accepted: vec![FACTORY], perhaps: vec![], left, trace: vec![] }
    }

    fn key(&self) -> Key {
        (self.flash, self.accepted.clone(), self.perhaps.clone(), self.left)
    }

    /// Has the device do its work on the flash.
    fn run(&mut self, device: Device, power: &Power, file: Option<&[u8]>) -> Option<(Started, Result<(), Refusal>)> {
        let mut whole = [0xFF; PAGES * PAGE];
        for (page, used) in whole.chunks_exact_mut(PAGE).zip(&self.flash) {
            page[..USED].copy_from_slice(used);
        }
        let outcome = device(&mut whole, power, file);
        for (page, used) in whole.chunks_exact(PAGE).zip(&mut self.flash) {
            used.copy_from_slice(&page[..USED]);
        }
        outcome
    }

    fn newest(&self) -> File {
        self.accepted[self.accepted.len() - 1]
    }

    fn is_acceptable(&self, file: File) -> bool {
        file.is_signed && file.is_fit && file.counter >= self.newest().counter
    }

    fn judge(&self, started: Started, rotted: bool) -> Result<(), Broken> {
        let Started { file, least } = started;
        // By its name: where the record vouches for a file, its signature may rot.
        if !self.accepted.iter().chain(&self.perhaps).any(|known| known.name == file.name) {
            return Err(Broken::Unaccepted(file));
        }
        let before = self.accepted.len().saturating_sub(if rotted { 2 } else { 1 });
        if file.counter < self.accepted[before].counter {
            return Err(Broken::Older(file));
        }
        let newest = self.newest().counter.into();
        if least < newest { Err(Broken::Forgotten(least)) } else { Ok(()) }
    }

    /// What follows an event, and how many operations on the flash it took.
    fn after(&self, device: Device, event: Event, most: Budget) -> (State, u32, Result<(), Broken>) {
        let mut next = self.clone();
        next.trace.push(event);
        let has_rotted = |state: &State| state.left.rotted < most.rotted;
        let (sent, cut) = match event {
            Event::Rotted(bit) => {
                let byte = bit / 8;
                next.flash[byte / USED][byte % USED] ^= 1 << (bit % 8);
                next.left.rotted -= 1;
                let found = next.look(device, has_rotted(&next));
                return (next, 0, found);
            }
            Event::Sent(file, cut) => (Some(file), cut),
            Event::Booted(cut) => (None, cut),
        };
        next.left.sent -= u8::from(sent.is_some());
        next.left.cuts -= u8::from(cut.is_some());
        let power = power(cut);
        let bytes = sent.map(File::bytes);
        let Some((started, outcome)) = next.run(device, &power, bytes.as_deref()) else {
            return (next, power.operations(), Err(Broken::Nothing));
        };
        let is_cut = cut.is_some_and(|(operation, _)| power.operations() > operation);
        let rotted = has_rotted(&next);
        let mut found = next.judge(started, rotted);
        if !is_cut || cut.is_some_and(|(_, how)| how == 0 && outcome.is_ok()) {
            // It has run.
            let perhaps = next.perhaps.iter().find(|file| file.name == started.file.name).copied();
            next.accepted
                .extend(perhaps.filter(|file| *file != next.newest() && file.counter >= next.newest().counter));
        }
        if let Some(file) = sent {
            let is_taken = outcome.is_ok();
            let is_acceptable = next.is_acceptable(file);
            match (is_taken, is_acceptable) {
                (true, true) => {
                    if file != next.newest() {
                        next.accepted.push(file);
                    }
                }
                (false, true) if is_cut => {
                    if !next.perhaps.contains(&file) {
                        next.perhaps.push(file);
                    }
                }
                (false, false) => {}
                // A cut update had raised the counter, and its file has rotted since.
                (false, true) if next.perhaps.iter().any(|perhaps| perhaps.counter > file.counter) => {}
                _ => found = found.and(Err(Broken::Wrong(file))),
            }
        }
        let found = found.and_then(|()| next.look(device, rotted));
        (next, power.operations(), found)
    }

    /// What a boot would find.
    fn look(&self, device: Device, rotted: bool) -> Result<(), Broken> {
        let (started, _) = self.clone().run(device, &Power::new(None), None).ok_or(Broken::Nothing)?;
        self.judge(started, rotted)
    }
}

#[derive(Default)]
struct Search {
    states: usize,
    events: usize,
    broken: Vec<(Broken, Vec<Event>)>,
}

/// Everything that can happen to a device within the budget, of the bits every `stride`-th. What is broken is not followed further.
fn search(device: Device, most: Budget, stride: usize) -> Search {
    let mut found = Search::default();
    let mut seen = HashSet::new();
    let mut states = vec![State::new(most)];
    while !states.is_empty() {
        found.states += states.len();
        let follow = |state: &State| {
            let mut next = vec![];
            let mut broken = vec![];
            let mut events = 0;
            let mut try_it = |event| {
                let (state, operations, result) = state.after(device, event, most);
                events += 1;
                match result {
                    Ok(()) => next.push((state.key(), state)),
                    Err(what) => broken.push((what, state.trace)),
                }
                operations
            };
            let sent = SENT.into_iter().filter(|_| state.left.sent > 0).map(Some);
            for file in sent.chain([None]) {
                let event = |cut| file.map_or(Event::Booted(cut), |file| Event::Sent(file, cut));
                let operations = try_it(event(None));
                if state.left.cuts > 0 {
                    let cuts = (0..operations).flat_map(|operation| (0..=MIXTURES).map(move |how| (operation, how)));
                    cuts.for_each(|cut| {
                        try_it(event(Some(cut)));
                    });
                }
            }
            if state.left.rotted > 0 {
                (0..8 * USED * PAGES).step_by(stride).for_each(|bit| {
                    try_it(Event::Rotted(bit));
                });
            }
            (next, broken, events)
        };
        let followed: Vec<_> = states.par_iter().map(follow).collect();
        states.clear();
        for (next, broken, events) in followed {
            found.events += events;
            found.broken.extend(broken);
            states.extend(next.into_iter().filter_map(|(key, state)| seen.insert(key).then_some(state)));
        }
    }
    found
}

const fn at_most(sent: u8, cuts: u8, rotted: u8) -> Budget {
    Budget { sent, cuts, rotted }
}

fn holds(most: Budget, stride: usize) {
    let found = search(now, most, stride);
    eprintln!("{most:?}, every bit in {stride}: {} states, {} events", found.states, found.events);
    assert_eq!(found.broken.first(), None, "one of {}", found.broken.len());
}

#[test]
fn whatever_is_sent_and_whenever_the_power_fails_a_boot_starts_what_was_accepted() {
    holds(at_most(2, 1, 0), 1);
}

#[test]
fn whatever_bit_rots_a_boot_starts_what_was_accepted() {
    holds(at_most(2, 0, 1), 1);
}

#[test]
fn a_power_cut_and_a_bit_that_rots_leave_a_boot_what_was_accepted() {
    // No multiple of the bits of a byte: each of its bits has its turn.
    holds(at_most(1, 1, 1), 17);
}

/// Takes long: `cargo test --release -p vae-tests --test core slot_search -- --ignored --nocapture`.
#[test]
#[ignore = "takes long: for a change of the slots"]
fn longer_and_with_every_bit() {
    for most in [at_most(3, 2, 0), at_most(4, 0, 1), at_most(1, 1, 1)] {
        holds(most, 1);
    }
    holds(at_most(2, 1, 1), 11);
}

/// A search that finds nothing where there is something proves nothing.
#[test]
fn the_search_finds_what_was_wrong_before() {
    let found = search(before, at_most(2, 0, 1), 1);
    let has = |what: &str, is_it: &dyn Fn(&Broken, &[Event]) -> bool| {
        let trace =
            found.broken.iter().filter(|(broken, trace)| is_it(broken, trace)).min_by_key(|(_, trace)| trace.len());
        let (broken, trace) = trace.unwrap_or_else(|| panic!("{what} is not found"));
        eprintln!("{what}: {broken:?} after {trace:?}");
    };
    let [good, _, old, unfit, unsigned, ..] = SENT;
    let starts = |broken: &Broken, file: File| *broken == Broken::Unaccepted(file);
    let sent = |file| Event::Sent(file, None);
    let rots = |event: &Event| matches!(event, Event::Rotted(_));
    has("a: refused, and run once a bit of the selected slot rots", &|broken, trace| {
        starts(broken, unsigned) && trace[0] == sent(unsigned) && rots(&trace[1])
    });
    has("b: refused on a device that fell back, and run", &|broken, trace| {
        starts(broken, unsigned) && trace[0] == sent(good) && rots(&trace[1]) && trace[2] == sent(unsigned)
    });
    has("c: genuine, but older, refused and run", &|broken, trace| {
        starts(broken, old) && trace[0] == sent(good) && rots(&trace[1]) && trace[2] == sent(old)
    });
    has("d: a word of junk takes the fallback away", &|broken, trace| {
        *broken == Broken::Nothing && trace.contains(&sent(JUNK)) && trace.iter().any(rots)
    });
    has("e: the record rots, and an older file is taken", &|broken, trace| {
        matches!(broken, Broken::Forgotten(_))
            && trace[0] == sent(good)
            && matches!(trace[1], Event::Rotted(bit) if bit < 8 * 2 * USED)
    });
    has("f: refused as unfit, and run", &|broken, trace| starts(broken, unfit) && trace[0] == sent(unfit));
}
