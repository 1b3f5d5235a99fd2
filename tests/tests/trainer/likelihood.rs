//! `evaluate --likelihood` and `score`: the evidence, its lower bound, and what lies between, with a learned prior.

use std::fs;

use serde_json::Value;

use crate::workplace::Workplace;

fn mean(value: &Value) -> f64 {
    value["mean"].as_f64().unwrap()
}

#[test]
fn the_evidence_is_the_elbo_and_the_gap_and_a_learned_prior_has_a_bound_of_the_elbo_too() {
    let place = Workplace::new();
    place.succeed("simulate ring --out data --rows 1200");
    for posterior in ["diagonal", "full"] {
        place.succeed(&format!(
            "fit data/train.csv --out {posterior} --hidden 16 --latent 2 --batch 50 --epochs 30 --learning-rate 0.003 --posterior \
             {posterior} --prior 8"
        ));
        place.succeed(&format!("export {posterior} --out {posterior}.vae"));
        let ask = format!("evaluate {posterior}.vae data/test.csv --likelihood --windows 200");
        let report = place.json(&format!("{ask} --train data/train.csv --bandwidth 0.3"));
        assert_eq!((&report["windows"], &report["prior_components"]), (&200.into(), &8.into()), "{report}");
        let (elbo, gap) = (mean(&report["elbo_sampled"]), mean(&report["gap"]));
        let evidence = mean(&report["importance_weighted"][3][1]);
        assert!((evidence - (elbo + gap)).abs() < 1e-4 && gap > 0.0, "{report}");
        let (kl, bound) = (mean(&report["kl_sampled"]), mean(&report["kl"]));
        // Of 200 windows and 1000 samples each, the KL is known to some thousandths.
        assert!(bound > kl + 0.01, "{report}");
        // The bound's ELBO is by ten samples, of which the decoder's part varies.
        let both = report["elbo"]["standard_error"].as_f64().unwrap();
        assert!((elbo - mean(&report["elbo"]) - (bound - kl)).abs() < 0.2 * both + 0.05, "{report}");

        let text = place.succeed(&ask);
        for line in ["ELBO, K = 1000 ", "bound of the ELBO, K = 10 ", "upper bound of it ", "KL(q(z|x) ‖ p(z|x)) "] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(!text.contains("kernel density"), "{text}");
        place.succeed(&format!("score {posterior}.vae data/test.csv --samples 64 --out {posterior}.csv"));
        let scores = fs::read_to_string(place.path(&format!("{posterior}.csv"))).unwrap();
        let names: Vec<&str> = scores.lines().next().unwrap().split(',').collect();
        let column = |name: &str| -> Vec<f64> {
            let at = names.iter().position(|found| *found == name).unwrap();
            scores.lines().skip(1).map(|line| line.split(',').nth(at).unwrap().parse().unwrap()).collect()
        };
        let (elbos, likelihoods) = (column("elbo_sampled"), column("log_likelihood"));
        // Jensen's inequality, of the same draws: for each window.
        assert!(elbos.iter().zip(&likelihoods).all(|(elbo, likelihood)| *elbo <= likelihood + 1e-4));
        let all = elbos.iter().sum::<f64>() / elbos.len() as f64;
        assert!((all - elbo).abs() < 5.0 * report["elbo_sampled"]["standard_error"].as_f64().unwrap(), "{all} {elbo}");
    }
}

#[test]
fn kernel_densities_have_the_bandwidth_that_is_asked_for_and_the_likeliest_suits_a_ring() {
    let place = Workplace::new();
    place.succeed("simulate ring --out data --rows 1200");
    place.succeed("fit data/train.csv --out run --hidden 8 --latent 2 --batch 50 --epochs 2 --prior 0");
    place.succeed("export run --out model.vae");
    let ask = "evaluate model.vae data/test.csv --likelihood --windows 200 --train data/train.csv";
    let report = place.json(&format!("{ask} --bandwidth 0.5"));
    let (scott, likeliest) = (&report["kernel_density"], &report["kernel_density_left_out"]);
    // n^(−1 / 6) of 1200 rows; a ring is no Gaussian, which that is for.
    assert!((scott["bandwidth"].as_f64().unwrap() - 1200f64.powf(-1.0 / 6.0)).abs() < 1e-6, "{report}");
    assert_eq!(report["kernel_density_given"]["bandwidth"], 0.5);
    assert!(likeliest["bandwidth"].as_f64().unwrap() < 0.6 * scott["bandwidth"].as_f64().unwrap(), "{report}");
    assert!(mean(likeliest) > mean(scott) + 0.02 && mean(scott) > mean(&report["kernel_density_given"]), "{report}");
    let text = place.succeed(&format!("{ask} --bandwidth 0.5"));
    for line in
        ["Gaussian, maximum likelihood", "kernel density, Scott's h = 0.3", "likeliest h = 0.", "given h = 0.5000"]
    {
        assert!(text.contains(line), "{line}: {text}");
    }
    // The standard prior's KL is no bound, and closed forms and samples agree.
    assert!(text.contains("ELBO, KL in closed form, K = 10") && text.contains("the same in closed form"), "{text}");
    assert!((mean(&report["kl"]) - mean(&report["kl_sampled"])).abs() < 0.02, "{report}");
    let message = place.fail(&format!("{ask} --bandwidth 0"));
    assert!(message.contains("bandwidth 0: give a number above 0"), "{message}");
}
