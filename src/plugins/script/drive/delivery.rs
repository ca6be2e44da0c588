//! Delivers files of the blueprint to a script.

use super::operation::{Operation, TEMPORARY};
use crate::plugins::script::declare::{
    context::{ContextError, Delivery, Resource},
    template,
};
use serde_json::Value as Json;
use std::{ffi::OsStr, io, path::Path};

impl Operation<'_> {
    /// Returns the content of a resource, or the path of a copy.
    pub(super) async fn deliver(
        &self,
        resource: &Resource,
        cwd: Option<&str>,
    ) -> Result<Json, ContextError> {
        let mut content = self.resources.read(&resource.path)?;
        if let Some(variables) = &resource.variables {
            let mut all = variables.clone();
            all.insert("ctx".to_owned(), self.context.borrow().to_json());
            let text = String::from_utf8_lossy(&content);
            content = template::render(&text, &all)?.into_bytes();
        }
        match &resource.delivery {
            Delivery::Text => Ok(String::from_utf8_lossy(&content).into()),
            Delivery::File(target) => {
                let name = Path::new(&resource.path).file_name().unwrap_or_default();
                let name = name.to_string_lossy();
                let target = target.as_deref();
                let written = match &self.container {
                    Some(container) => container.write_copy(&name, &content, target).await,
                    None => self
                        .write_copy(&name, &content, (target, cwd))
                        .map_err(|error| error.to_string()),
                };
                written.map(Json::from).map_err(|error| {
                    ContextError::new("OSError", format!("cannot write the copy: {error}"))
                })
            }
        }
    }

    /// Writes a copy of a resource. Like in Cloudify, nothing removes it: a later operation may use
    /// its path.
    fn write_copy(
        &self,
        name: &str,
        content: &[u8],
        (target, cwd): (Option<&str>, Option<&str>),
    ) -> io::Result<String> {
        if let Some(target) = target {
            let base = cwd.or(self.process.cwd.as_deref()).unwrap_or(".");
            std::fs::write(Path::new(base).join(target), content)?;
            return Ok(target.to_owned());
        }
        let environment = self.environment();
        let directory = environment.get(OsStr::new("TMPDIR"));
        let directory = directory.map_or(Path::new(TEMPORARY), Path::new);
        let suffix = format!("-{name}");
        let mut file = tempfile::Builder::new()
            .suffix(&suffix)
            .tempfile_in(directory)?;
        io::Write::write_all(&mut file, content)?;
        Ok(file.keep()?.1.display().to_string())
    }
}
