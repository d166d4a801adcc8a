//! From a request to who answers it.
//!
//! Law: the only file that knows every request.

use serde_json::{Value, json};

use super::adapter::DapAdapter;
use super::protocol::{DapRefusal, DapRequest};
use super::travel::Stride;

impl DapAdapter {
    /// The answer to a request; what goes out behind it stands in `events`.
    pub(super) async fn answer(&mut self, request: &DapRequest) -> Result<Value, DapRefusal> {
        match request.command.as_str() {
            "initialize" => self.initialize(request),
            "launch" => self.attach(request, true).await,
            "attach" => self.attach(request, false).await,
            "configurationDone" => self.configured(),
            "restart" => self.restart(request).await,
            "terminate" => self.terminate(),
            "disconnect" => self.disconnect(),
            // What can be cancelled is under way while this is read; then it never comes here.
            "cancel" => Ok(Value::Null),

            "setBreakpoints" => self.set_line_points(request),
            "setFunctionBreakpoints" => self.set_step_points(request),
            "setExceptionBreakpoints" => self.set_filters(request),
            "breakpointLocations" => self.point_lines(request),

            "next" => self.go(request, Stride::OfStep),
            "stepIn" => self.go(request, Stride::Event),
            "stepOut" => self.go(request, Stride::OutOfStep),
            "stepBack" => self.go(request, Stride::Back),
            "continue" => self.go(request, Stride::ToPoint),
            "reverseContinue" => self.go(request, Stride::BackToPoint),
            "pause" => self.pause(),
            "gotoTargets" => self.goto_targets(request).await,
            "goto" => self.goto(request).await,
            "restartFrame" => self.restart_frame(request).await,

            "threads" => Ok(self.threads()),
            "stackTrace" => self.stack_trace(request).await,
            "scopes" => self.scopes(request),
            "variables" => self.variables(request).await,
            "source" => self.source(request),
            "loadedSources" => Ok(self.loaded_sources()),
            "exceptionInfo" => self.exception_info(request).await,
            "evaluate" => self.evaluate(request).await,
            "completions" => self.completions(request).await,
            "modules" => Ok(json!({ "modules": [], "totalModules": 0 })),
            other => Err(DapRefusal::new(format!(
                "the request {other} is not supported: this is a run's history, of which nothing is executed"
            ))),
        }
    }
}
