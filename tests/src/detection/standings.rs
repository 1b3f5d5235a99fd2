//! Where our models stand among published methods.

use serde::Serialize;

use crate::detection::{
    figures::{Report, mean},
    published::{Metric, Published, ranks},
};

/// What our int8 models are called among methods.
pub const OURS: &str = "ours, int8";

/// Our int8 models among the published methods on a table, by one metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// Ours in per cent: the mean over the seeds, with two decimals as the published figures have them, so that ties are ties.
    pub ours: f64,
    /// Our rank: 1 is the best, equal figures share the mean of their ranks.
    pub rank: f64,
    /// The published methods and ours.
    pub among: usize,
    /// The best published method.
    pub best_method: String,
    /// What it reached, in per cent.
    pub best: f64,
    /// Each published method and its rank.
    #[serde(skip)]
    others: Vec<(String, f64, f64)>,
}

impl Standing {
    /// None for a table of which nothing is published.
    fn of(published: &Published, report: &Report, metric: Metric) -> Option<Self> {
        let methods = published.of(&report.table, metric);
        let figures = report.int8();
        let ours = match metric {
            Metric::Auroc => figures.auroc,
            Metric::AveragePrecision => figures.average_precision,
        };
        let ours = (1e4 * ours).round() / 1e2;
        let values: Vec<f64> = methods.iter().map(|(_, percent)| *percent).chain([ours]).collect();
        let ranks = ranks(&values);
        let (best_method, best) =
            methods.iter().copied().reduce(|best, next| if next.1 > best.1 { next } else { best })?;
        Some(Self {
            ours,
            rank: ranks[methods.len()],
            among: values.len(),
            best_method: best_method.to_owned(),
            best,
            others: methods.iter().zip(ranks).map(|((name, value), rank)| ((*name).to_owned(), *value, rank)).collect(),
        })
    }
}

/// A table's standings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OfTable {
    /// Its name.
    pub table: String,
    /// By AUROC.
    pub auroc: Standing,
    /// By average precision.
    pub average_precision: Standing,
}

impl OfTable {
    /// None for a table of which nothing is published.
    fn of(published: &Published, report: &Report) -> Option<Self> {
        Some(Self {
            table: report.table.clone(),
            auroc: Standing::of(published, report, Metric::Auroc)?,
            average_precision: Standing::of(published, report, Metric::AveragePrecision)?,
        })
    }
}

/// A method over all tables: means of its figures, in per cent, and of its ranks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Method {
    /// Its name.
    pub name: String,
    /// Tables of which there is a figure of it.
    pub tables: usize,
    /// Mean AUROC.
    pub auroc: f64,
    /// Mean rank by AUROC; none for the detectors fitted here, which are not ranked.
    pub auroc_rank: Option<f64>,
    /// Mean average precision.
    pub average_precision: f64,
    /// Mean rank by average precision; none for the detectors fitted here, which are not ranked.
    pub average_precision_rank: Option<f64>,
}

/// Our models among the published methods, over the tables that were judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standings {
    /// Tables of which something is published.
    pub tables: Vec<OfTable>,
    /// Published methods, ours, and the detectors fitted here, by their mean AUROC, the best first.
    pub methods: Vec<Method>,
    /// The mean over the tables of what the best published method on each reached, in per cent: one method chosen afresh for each table.
    pub best_chosen_by_table: f64,
}

impl Standings {
    /// None where nothing is published of any of the tables.
    #[must_use]
    pub fn of(published: &Published, reports: &[Report]) -> Option<Self> {
        let judged = reports.iter().filter_map(|report| Some((OfTable::of(published, report)?, report)));
        let (tables, judged): (Vec<OfTable>, Vec<&Report>) = judged.unzip();
        let mut names: Vec<&str> = Vec::new();
        for (name, ..) in tables.iter().flat_map(|table| &table.auroc.others) {
            if !names.contains(&&**name) {
                names.push(name);
            }
        }
        let mut methods: Vec<Method> = names.into_iter().map(|name| Method::published(name, &tables)).collect();
        methods.push(Method::ours(&tables));
        methods.extend((0..3).filter_map(|index| Method::fitted_here(index, &judged)));
        methods.sort_by(|a, b| b.auroc.total_cmp(&a.auroc));
        let best_chosen_by_table = mean(tables.iter().map(|table| table.auroc.best));
        (!tables.is_empty()).then_some(Self { tables, methods, best_chosen_by_table })
    }
}

impl Method {
    fn published(name: &str, tables: &[OfTable]) -> Self {
        let of = |standing: fn(&OfTable) -> &Standing| -> Vec<(f64, f64)> {
            let all = tables.iter().flat_map(|table| &standing(table).others);
            all.filter(|(other, ..)| other == name).map(|(_, value, rank)| (*value, *rank)).collect()
        };
        let (auroc, average_precision) = (of(|table| &table.auroc), of(|table| &table.average_precision));
        let means = |of: &[(f64, f64)]| (mean(of.iter().map(|of| of.0)), Some(mean(of.iter().map(|of| of.1))));
        Self::new(name, auroc.len(), means(&auroc), means(&average_precision))
    }

    fn ours(tables: &[OfTable]) -> Self {
        let means = |standing: fn(&OfTable) -> &Standing| {
            (mean(tables.iter().map(|t| standing(t).ours)), Some(mean(tables.iter().map(|t| standing(t).rank))))
        };
        Self::new(OURS, tables.len(), means(|table| &table.auroc), means(|table| &table.average_precision))
    }

    /// A detector that was fitted here to the same rows; none if it was fitted to no table.
    fn fitted_here(index: usize, reports: &[&Report]) -> Option<Self> {
        let found: Vec<_> = reports.iter().filter_map(|report| report.classical[index].figures).collect();
        let name = format!("{} (fitted here)", reports.first()?.classical[index].name);
        let means = (mean(found.iter().map(|of| 100.0 * of.auroc)), None);
        let of_precision = (mean(found.iter().map(|of| 100.0 * of.average_precision)), None);
        (!found.is_empty()).then(|| Self::new(&name, found.len(), means, of_precision))
    }

    fn new(name: &str, tables: usize, auroc: (f64, Option<f64>), average_precision: (f64, Option<f64>)) -> Self {
        Self {
            name: name.to_owned(),
            tables,
            auroc: auroc.0,
            auroc_rank: auroc.1,
            average_precision: average_precision.0,
            average_precision_rank: average_precision.1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::figures::tests::report;

    const TEXT: &str = "table,metric,method,percent
a,auroc,kNN,90
a,auroc,LOF,85.00
a,auroc,PCA,50
a,average_precision,kNN,10
a,average_precision,LOF,42.5
a,average_precision,PCA,60
b,auroc,kNN,70
b,auroc,LOF,80
b,auroc,PCA,75
b,average_precision,kNN,50
b,average_precision,LOF,40
b,average_precision,PCA,30
";

    /// Ours: 85.00 of `a` (a tie with LOF), 72 of `b`; average precisions of 42.5 (a tie again) and 36.
    fn standings() -> Standings {
        let reports = [
            report("a", [0.8, 0.900_01], [Some(0.9), None, Some(0.7)]),
            report("b", [0.72, 0.72], [Some(0.7), Some(0.6), Some(0.8)]),
            report("unknown", [0.1, 0.1], [Some(0.1), Some(0.1), Some(0.1)]),
        ];
        Standings::of(&Published::parse(TEXT).unwrap(), &reports).unwrap()
    }

    #[test]
    fn ranks_on_each_table_are_those_counted_by_hand() {
        let found = standings();
        let of = |standing: &Standing| {
            (standing.ours, standing.rank, standing.among, standing.best_method.clone(), standing.best)
        };
        // kNN 90 | LOF 85, ours 85 | PCA 50.
        assert_eq!(of(&found.tables[0].auroc), (85.0, 2.5, 4, "kNN".into(), 90.0));
        // PCA 60 | LOF 42.5, ours 42.5 | kNN 10.
        assert_eq!(of(&found.tables[0].average_precision), (42.5, 2.5, 4, "PCA".into(), 60.0));
        // LOF 80 | PCA 75 | ours 72 | kNN 70.
        assert_eq!(of(&found.tables[1].auroc), (72.0, 3.0, 4, "LOF".into(), 80.0));
        // kNN 50 | LOF 40 | ours 36 | PCA 30.
        assert_eq!(of(&found.tables[1].average_precision), (36.0, 3.0, 4, "kNN".into(), 50.0));
        assert_eq!((found.tables.len(), found.best_chosen_by_table), (2, 85.0));
    }

    #[test]
    fn means_and_mean_ranks_are_of_the_tables_that_are_published() {
        let found = standings();
        let of = |name: &str| found.methods.iter().find(|method| method.name == name).unwrap().clone();
        let (knn, ours) = (of("kNN"), of(OURS));
        assert_eq!((knn.tables, knn.auroc, knn.auroc_rank), (2, 80.0, Some((1.0 + 4.0) / 2.0)));
        assert_eq!((ours.auroc, ours.auroc_rank), (78.5, Some(2.75)));
        assert_eq!((of("LOF").auroc, of("LOF").auroc_rank), (82.5, Some((2.5 + 1.0) / 2.0)));
        assert_eq!((knn.average_precision, knn.average_precision_rank), (30.0, Some((4.0 + 1.0) / 2.0)));
        let mixture = of("mixture (fitted here)");
        assert_eq!((mixture.tables, mixture.auroc.round(), mixture.auroc_rank), (1, 60.0, None));
        assert!(found.methods.is_sorted_by(|a, b| a.auroc >= b.auroc));
        assert_eq!(found.methods.len(), 3 + 1 + 3);
    }

    #[test]
    fn nothing_is_published_of_other_tables() {
        let reports = [report("unknown", [0.1, 0.1], [None, None, None])];
        assert_eq!(Standings::of(&Published::parse(TEXT).unwrap(), &reports), None);
    }
}
