//! The Cargo features of this crate that models may need.

/// A Cargo feature of this crate that a model file may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u32)] // a word, as all that errors hold: behind a byte they would be copied byte by byte, by a function larger than most
pub enum Feature {
    /// `f32`: weights that are not int8.
    F32,
    /// `activations`: hidden layers other than ReLU's.
    Activations,
    /// `families`: posteriors other than a diagonal Gaussian, likelihoods other than a Gaussian whose variance does not depend on `z`.
    Families,
    /// `learned-prior`: a mixture as prior.
    LearnedPrior,
    /// `relations`: features that are judged together.
    Relations,
    /// `mixed`: features with families of their own.
    Mixed,
    /// `covariance`: a predicted covariance.
    Covariance,
    /// `categorical`: categorical latents.
    Categorical,
    /// `spectrum`: front-ends that compute the energy in bands of frequencies. A file is read without it, as its features may come from elsewhere;
    /// what needs it is [`Detector::new`](crate::Detector::new), and a model that is built in.
    Spectrum,
}

impl Feature {
    /// Its name, as `Cargo.toml` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Activations => "activations",
            Self::Families => "families",
            Self::LearnedPrior => "learned-prior",
            Self::Relations => "relations",
            Self::Mixed => "mixed",
            Self::Covariance => "covariance",
            Self::Categorical => "categorical",
            Self::Spectrum => "spectrum",
        }
    }

    /// What is said of a model that needs it where it is not: usable in `const` context, where no text can be put together.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::F32 => "model file needs vae-core's feature `f32`, which this build leaves out",
            Self::Activations => "model file needs vae-core's feature `activations`, which this build leaves out",
            Self::Families => "model file needs vae-core's feature `families`, which this build leaves out",
            Self::LearnedPrior => "model file needs vae-core's feature `learned-prior`, which this build leaves out",
            Self::Relations => "model file needs vae-core's feature `relations`, which this build leaves out",
            Self::Mixed => "model file needs vae-core's feature `mixed`, which this build leaves out",
            Self::Covariance => "model file needs vae-core's feature `covariance`, which this build leaves out",
            Self::Categorical => "model file needs vae-core's feature `categorical`, which this build leaves out",
            Self::Spectrum => "model file needs vae-core's feature `spectrum`, which this build leaves out",
        }
    }

    /// Whether this build has it.
    #[must_use]
    pub const fn is_here(self) -> bool {
        match self {
            Self::F32 => cfg!(feature = "f32"),
            Self::Activations => cfg!(feature = "activations"),
            Self::Families => cfg!(feature = "families"),
            Self::LearnedPrior => cfg!(feature = "learned-prior"),
            Self::Relations => cfg!(feature = "relations"),
            Self::Mixed => cfg!(feature = "mixed"),
            Self::Covariance => cfg!(feature = "covariance"),
            Self::Categorical => cfg!(feature = "categorical"),
            Self::Spectrum => cfg!(feature = "spectrum"),
        }
    }
}

/// What a value of a kind that a feature brings holds beside itself. Where the feature is left out there is no value of this type, hence none of the
/// kind, and the compiler drops all that would be done with one.
macro_rules! held {
    ($($name:ident: $feature:literal)*) => {$(
        #[cfg(feature = $feature)]
        pub(crate) type $name = ();
        #[cfg(not(feature = $feature))]
        pub(crate) type $name = core::convert::Infallible;
    )*};
}

held! { HasF32: "f32" HasFamilies: "families" HasLearnedPrior: "learned-prior" }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_names_the_feature() {
        for feature in [
            Feature::F32,
            Feature::Activations,
            Feature::Families,
            Feature::LearnedPrior,
            Feature::Relations,
            Feature::Mixed,
            Feature::Covariance,
            Feature::Categorical,
            Feature::Spectrum,
        ] {
            let name = feature.name();
            let named = feature.reason().split('`').nth(1);
            assert_eq!(named, Some(name));
            assert!(include_str!("../../Cargo.toml").contains(name), "{name}");
        }
    }
}
