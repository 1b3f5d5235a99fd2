//! The rows of a text: what its fields hold, column by column.

use std::{borrow::Cow, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    tables::{
        category::Numbering,
        dialect::Surplus,
        fields::{Field, Fields, text},
        growth::{Expected, reserve},
        labels::LabelColumn,
        origin::Origins,
        reading::Reading,
        recording::Recording,
        table::{NotNumbers, Table},
        texts::Texts,
        times::Candidate,
    },
    words::foreign::{excerpt, short, unguarded},
};

/// Most characters that are kept of a field that is no number.
pub(crate) const MOST_KEPT: usize = 200;

/// What a column is read as, beside the times that it may tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Values,
    Label,
    /// The index of its categories.
    Categories(usize),
}

/// What the rows read so far hold.
pub(crate) struct Rows {
    path: PathBuf,
    pub(crate) names: Vec<String>,
    /// By column.
    roles: Vec<Role>,
    fields: Fields,
    values: Vec<f32>,
    origins: Origins,
    labels: LabelColumn,
    rows: usize,
    /// Rows at which the logger began anew.
    starts: Vec<usize>,
    /// The columns that may be clocks or indices.
    candidates: Vec<(usize, Candidate)>,
    /// The columns of words.
    texts: Vec<(usize, Texts)>,
    categories: Vec<Numbering>,
    /// By column, how many fields are words for a missing value, and the first of them.
    missing: Vec<(usize, String)>,
    not_numbers: Vec<NotNumbers>,
    /// Where a column's are among these.
    places: Vec<Option<usize>>,
}

impl Rows {
    pub(crate) fn new(
        path: PathBuf,
        names: Vec<String>,
        label: Option<usize>,
        fields: Fields,
        reading: &Reading,
    ) -> Self {
        let mut categories = Vec::new();
        let mut role = |(index, name): (usize, &String)| {
            if Some(index) == label {
                Role::Label
            } else if reading.categorical.contains(name) {
                categories.push(Numbering::of(name));
                Role::Categories(categories.len() - 1)
            } else {
                Role::Values
            }
        };
        let roles = names.iter().enumerate().map(&mut role).collect();
        let kept = reading.kept(&names);
        let candidate = |(index, name): (usize, &String)| {
            (Some(index) != label && !kept.contains(name))
                .then(|| (index, Candidate::new(name, reading.time.as_ref() == Some(name))))
        };
        Self {
            path,
            roles,
            fields,
            values: Vec::new(),
            origins: Origins::new(names.len() - usize::from(label.is_some())),
            labels: LabelColumn::default(),
            rows: 0,
            starts: Vec::new(),
            candidates: names.iter().enumerate().filter_map(candidate).collect(),
            texts: Vec::new(),
            categories,
            missing: vec![(0, String::new()); names.len()],
            not_numbers: Vec::new(),
            places: vec![None; names.len()],
            names,
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.rows
    }

    /// Whose columns have the origins of the rows before them.
    pub(crate) fn with_origins(self, origins: Origins) -> Self {
        Self { origins, ..self }
    }

    /// The origins of the columns, by the rows that there are where they have not been decided.
    pub(crate) fn origins(&mut self) -> Origins {
        let values = &mut self.values;
        self.origins.decide(|place, value| values[place] = value);
        self.origins.clone()
    }

    /// The next row is the first one of another recording.
    pub(crate) fn begin_anew(&mut self) {
        if self.rows > 0 && self.starts.last() != Some(&self.rows) {
            self.starts.push(self.rows);
        }
    }

    /// Takes a row, whose number and line messages name.
    pub(crate) fn take(
        &mut self,
        record: &csv::ByteRecord,
        surplus: Option<Surplus>,
        (row, line): (usize, u64),
        expected: &dyn Fn() -> Expected,
    ) -> Result<()> {
        let width = self.names.len();
        let is_tolerated = surplus == Some(Surplus::Last)
            && record.len() == width + 1
            && record.get(width).is_some_and(|field| field.trim_ascii().is_empty());
        if record.len() != width && !is_tolerated {
            bail!(
                "{}: row {row} (line {line}) has {} fields where the header has {width}: mend or remove the row",
                self.path.display(),
                record.len()
            );
        }
        reserve(&mut self.values, width, expected, &self.path)?;
        let start = self.values.len();
        for (index, (field, role)) in record.iter().zip(&self.roles).enumerate() {
            if *role == Role::Label {
                let place =
                    || format!("{}: row {row} (line {line}), column `{}`", self.path.display(), self.names[index]);
                self.labels.take(&text(field), place)?;
                continue;
            }
            let parsed = self.fields.parse(field);
            if let (Role::Categories(own), Field::Number(_) | Field::Text) = (role, parsed) {
                let number = numbered(&mut self.categories[*own], &self.fields, field, parsed);
                let number = number.with_context(|| format!("{}: row {row} (line {line})", self.path.display()))?;
                // Whatever the numbers are, nothing is subtracted from them.
                self.values.push(self.origins.relative(self.values.len() - start, number, || f64::NAN));
                continue;
            }
            let value = match parsed {
                Field::Number(value) => value,
                Field::Empty => f32::NAN,
                Field::Missing => {
                    let (count, first) = &mut self.missing[index];
                    if *count == 0 {
                        *first = text(field).into_owned();
                    }
                    *count += 1;
                    f32::NAN
                }
                Field::Text => {
                    let place = &mut self.places[index];
                    if place.is_none() {
                        self.texts.push((index, Texts::beginning_at(self.rows)));
                    }
                    keep(&mut self.not_numbers, place, &self.names[index], field, (row, line));
                    f32::NAN
                }
            };
            let exact = || match value.is_nan() {
                true => f64::NAN,
                false => self.fields.number_in_full(&text(field)).unwrap_or(f64::from(value)),
            };
            let kept = self.origins.relative(self.values.len() - start, value, exact);
            self.values.push(kept);
        }
        self.origins.row_ends(|place, value| self.values[place] = value);
        for (index, texts) in &mut self.texts {
            texts.push(record.get(*index).unwrap_or_default());
        }
        self.take_times(record, expected)?;
        self.rows += 1;
        Ok(())
    }

    /// Takes the fields of the columns that may be clocks; lets those go that are none.
    fn take_times(&mut self, record: &csv::ByteRecord, expected: &dyn Fn() -> Expected) -> Result<()> {
        let mut lets_go = false;
        for (index, candidate) in &mut self.candidates {
            let field = text(record.get(*index).unwrap_or_default());
            reserve(candidate.values_mut(), 1, expected, &self.path)?;
            match self.fields.number_in_full(&field) {
                Some(number) => candidate.push_number(number),
                None => candidate.push_text(&self.fields.pointed(&field).map_or(field, Cow::Owned)),
            }
            lets_go |= !candidate.may_count();
        }
        if lets_go {
            self.candidates.retain_mut(|(_, candidate)| candidate.may_count());
        }
        Ok(())
    }

    pub(crate) fn recording(self, reading: &Reading, notes: Vec<String>, repeated: usize) -> Result<Recording> {
        let Self { path, names, roles, mut values, mut origins, .. } = self;
        let Self { labels, candidates, texts, categories, missing, not_numbers, starts, rows, .. } = self;
        origins.decide(|place, value| values[place] = value);
        let name = path.display();
        let labelled =
            |is_label: bool| names.iter().zip(&roles).filter(move |(_, role)| (**role == Role::Label) == is_label);
        let columns: Vec<String> = labelled(false).map(|(name, _)| name.clone()).collect();
        let label = labelled(true).map(|(name, _)| name.clone()).next();
        ensure!(!columns.is_empty(), "{name} has no column of data beside its label: give measured values");
        ensure!(!values.is_empty(), "{name} has a header and no rows: give a row of numbers for each sample");
        let mut notes = notes;
        let taken = missing.iter().zip(&names).filter(|((count, _), _)| *count > 0);
        notes.extend(taken.map(|((count, first), column)| {
            format!("{name}: column `{column}`: {count} field(s), such as `{}`, are taken as missing", excerpt(first))
        }));
        if repeated > 0 {
            notes.push(format!(
                "{name}: {repeated} line(s) repeat the header, and are skipped: a recording begins behind each"
            ));
        }
        let table = Table {
            path,
            columns,
            values,
            labels: None,
            starts: starts.into_iter().filter(|start| *start < rows).collect(),
            origins: origins.into_vec(),
        };
        let unit = |index: &usize| {
            reading.time_unit.filter(|_| reading.time.as_ref().is_none_or(|time| *time == names[*index]))
        };
        let times = candidates
            .into_iter()
            .map(|(index, candidate)| (names[index].clone(), candidate.times(unit(&index))))
            .collect();
        let texts = texts.into_iter().map(|(index, texts)| (names[index].clone(), texts)).collect();
        Ok(Recording {
            times,
            texts,
            categories: categories.into_iter().map(|numbering| numbering.categories).collect(),
            not_numbers,
            notes,
            labels: label.is_some().then_some(labels),
            ..Recording::of_table(table, names, label)
        })
    }
}

/// The number of the category that a field names, or stands for by a number.
pub(crate) fn numbered(numbering: &mut Numbering, fields: &Fields, field: &[u8], parsed: Field) -> Result<f32> {
    let name = text(field);
    match parsed {
        Field::Number(value) => numbering.value(fields.number_in_full(&name).unwrap_or(f64::from(value))),
        _ => numbering.text(&unguarded(&name)),
    }
}

/// Counts a field of a column that is no number, and keeps the first.
fn keep(found: &mut Vec<NotNumbers>, place: &mut Option<usize>, column: &str, field: &[u8], (row, line): (usize, u64)) {
    match place {
        Some(place) => found[*place].fields += 1,
        None => {
            *place = Some(found.len());
            let first = short(&text(field), MOST_KEPT).into_owned();
            found.push(NotNumbers { column: column.to_owned(), fields: 1, first, row, line, file: None });
        }
    }
}
