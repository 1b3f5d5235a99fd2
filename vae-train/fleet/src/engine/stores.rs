//! Files at addresses (`s3://bucket/history/`, `gs:`, `az:`, `https:`): a store is set up when the first of its files is asked for, by what the
//! environment says of it (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT`, `GOOGLE_SERVICE_ACCOUNT` …), as the stores' own programs have it.

use std::{env, sync::Arc};

use datafusion::{
    common::{DataFusionError, Result},
    execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry},
};
use object_store::{ObjectStore, parse_url_opts};
use url::{Position, Url};

/// The stores that were asked for so far, and this machine's files.
#[derive(Debug, Default)]
pub(super) struct Stores(DefaultObjectStoreRegistry);

impl ObjectStoreRegistry for Stores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.0.register_store(url, store)
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        self.0.deregister_store(url)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        if let Ok(known) = self.0.get_store(url) {
            return Ok(known);
        }
        let options = env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?.to_ascii_lowercase(), value.into_string().ok()?))
        });
        let base = &url[..Position::BeforePath];
        let (store, _) = parse_url_opts(url, options).map_err(|error| {
            DataFusionError::External(format!("{base} is no store that can be read: {error}").into())
        })?;
        let store: Arc<dyn ObjectStore> = Arc::from(store);
        self.0.register_store(url, Arc::clone(&store));
        Ok(store)
    }
}
