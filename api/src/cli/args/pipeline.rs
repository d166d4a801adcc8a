//! Pipelines.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct PipelineArgs {
    #[command(subcommand)]
    pub(crate) verb: PipelineVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PipelineVerb {
    /// Find every error of files
    Check {
        /// Files, or names
        #[arg(value_name = "PIPELINE", required = true)]
        pipelines: Vec<String>,
    },
    /// Play the test cases of a pipeline, with stubs for all that is outside of it
    Test(PipelineTestArgs),
    /// Save a file, or a built-in pipeline by its name, as the newest version
    Save {
        /// The file, or the name of a built-in pipeline
        file: String,
    },
    /// List the saved and the built-in pipelines
    List,
    /// Steps and input of a pipeline
    Show {
        /// A file, or a name: NAME, NAME@N, NAME@HASH
        pipeline: String,
        /// Print its text as it was saved
        #[arg(long)]
        text: bool,
    },
    /// What is different in another pipeline or version
    Diff {
        /// A file, or a name: NAME, NAME@N, NAME@HASH
        from: String,
        /// The other one [default: of a file the saved version, of a name the version before]
        to: Option<String>,
        /// End with 1 where they differ, with 0 where they do not
        #[arg(long)]
        exit_code: bool,
    },
    /// Print the JSON Schema of pipeline files, for editors
    Schema {
        /// That of files with test cases
        #[arg(long)]
        cases: bool,
    },
    /// Draw the graph
    Graph {
        /// A file, or a name
        pipeline: String,
        /// As a picture in SVG
        #[arg(long)]
        svg: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PipelineTestArgs {
    /// A file, or the name of a built-in pipeline
    pub(crate) pipeline: String,
    /// The file with the cases [default: NAME.test.yaml beside NAME.yaml]
    #[arg(long, value_name = "FILE")]
    pub(crate) cases: Option<PathBuf>,
    /// Only the case of this name; may be given again
    #[arg(long, value_name = "NAME")]
    pub(crate) case: Vec<String>,
    /// Show what happened in every case, not only where one failed
    #[arg(long)]
    pub(crate) story: bool,
    /// Write a first case, in which all goes well, and play nothing
    #[arg(long, conflicts_with_all = ["case", "story"])]
    pub(crate) init: bool,
}
