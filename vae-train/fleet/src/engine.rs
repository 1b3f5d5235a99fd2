//! The engine that reads, sorts and queries, within a stated memory.

#[cfg(feature = "object-stores")]
mod stores;

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result, ensure};
use datafusion::{
    execution::{
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::FairSpillPool,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    prelude::{SessionConfig, SessionContext},
};

use crate::function::register;

/// What a run may take of the machine.
#[derive(Clone, Debug)]
pub struct Resources {
    /// Bytes that sorts may hold in memory, all together; what is more goes to files in `spill`. Beside them a few megabytes are taken for each
    /// file that is being read.
    pub memory: usize,
    /// Partitions that are worked on at once.
    pub jobs: usize,
    /// Where sorts spill; the system's temporary directory where none is given.
    pub spill: Option<PathBuf>,
}

/// Least memory with which sorts can be merged.
const LEAST_MEMORY: usize = 32 << 20;

impl Resources {
    /// Sorts' share, by which a merge of spilled runs is sure to have room.
    const MERGE_SHARE: usize = 8;

    /// The engine's surroundings: memory and disk.
    ///
    /// # Errors
    /// If the memory is too little to sort in, or there is nowhere to spill.
    pub fn runtime(&self) -> Result<Arc<RuntimeEnv>> {
        ensure!(
            self.memory >= LEAST_MEMORY,
            "--memory {} MiB is too little to sort in: give at least {} MiB",
            self.memory >> 20,
            LEAST_MEMORY >> 20
        );
        let mode = match &self.spill {
            Some(directory) => DiskManagerMode::Directories(vec![directory.clone()]),
            None => DiskManagerMode::OsTmpDirectory,
        };
        let builder = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(self.memory)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(mode));
        #[cfg(feature = "object-stores")]
        let builder = builder.with_object_store_registry(Arc::new(stores::Stores::default()));
        builder.build_arc().context("cannot set up the engine")
    }

    /// A session with these resources that knows the function, and files by their names in quotes.
    ///
    /// # Errors
    /// Those of [`Self::runtime`].
    pub fn session(&self) -> Result<SessionContext> {
        self.session_with(|config| config)
    }

    /// A session whose settings are changed so, beside these resources.
    ///
    /// # Errors
    /// Those of [`Self::runtime`].
    pub fn session_with(&self, change: impl FnOnce(SessionConfig) -> SessionConfig) -> Result<SessionContext> {
        let config = change(self.config());
        let mut context = SessionContext::new_with_config_rt(config, self.runtime()?).enable_url_table();
        register(&mut context)?;
        Ok(context)
    }

    fn config(&self) -> SessionConfig {
        let mut config = SessionConfig::new().with_target_partitions(self.jobs.max(1)).with_information_schema(true);
        let options = config.options_mut();
        // Files that are in order stay so.
        options.execution.split_file_groups_by_statistics = true;
        // Files of one folder, as of one machine, stay together.
        options.optimizer.preserve_file_partitions = 1;
        options.execution.listing_table_ignore_subdirectory = false;
        options.execution.sort_spill_reservation_bytes = self.memory / Self::MERGE_SHARE / self.jobs.max(1);
        config
    }
}
