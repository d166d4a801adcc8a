//! The protocol's side of the tools: what a client may ask of the server, and how it is answered.

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, CreateTaskResult, CustomRequest, CustomResult,
    ErrorCode, GetTaskParams, GetTaskResult, Implementation, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ReadResourceResult, ServerCapabilities, ServerConfig, UpdateTaskParams,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};

use crate::call::ToolCall;
use crate::client_message;
use crate::problem::RestProblem;
use crate::registry::tools;
use crate::resources;
use crate::rest::{RestCaller, RestRoutes};
use crate::task::{self, AskingBy};
use crate::tool::ToolOutcome;

/// What a model reads of the server before its tools.
const INSTRUCTIONS: &str = "Everfold runs pipelines durably: a run goes through steps, gates judge what they did, and people \
    approve or answer in the inbox. Every answer is short; `full` or `limit` ask for more. A run is named by its id, its \
    short id (8 digits) or `@` for the newest. To begin: list_runs, list_inbox, or list_pipelines and start_run. When \
    something is stuck or failed: show_run, why, read_log. Decisions need the `version` of what you saw. An error has a \
    code EF… and a hint.";

/// The server for one connection, or one request over HTTP.
#[derive(Debug, Clone)]
pub(crate) struct McpServer {
    routes: RestRoutes,
}

impl McpServer {
    pub(crate) fn new(routes: RestRoutes) -> Self {
        Self { routes }
    }

    /// The routes as the caller of a request: over HTTP what the listener said of it, on standard input this process.
    fn rest(&self, context: &RequestContext<RoleServer>) -> RestCaller {
        match context.extensions.get::<axum::http::request::Parts>() {
            Some(parts) => self.routes.called_by(&parts.extensions, &parts.headers),
            None => self.routes.called_by(&Default::default(), &Default::default()),
        }
    }

    /// The caller's role.
    async fn role(&self, rest: &RestCaller) -> Result<String, RestProblem> {
        let caller = rest.get("/session").await?;
        Ok(caller["role"].as_str().unwrap_or_default().to_owned())
    }
}

fn asking(context: &RequestContext<RoleServer>) -> AskingBy {
    let elicitation = context.client_capabilities().and_then(|client| client.elicitation);
    match elicitation {
        // One that names neither form nor URL means forms.
        Some(how) if how.form.is_some() || how.url.is_none() => AskingBy::Forms,
        _none => AskingBy::Tools,
    }
}

/// Refuses a cursor: a list that is answered whole gives none out.
fn whole(request: Option<PaginatedRequestParams>) -> Result<(), ErrorData> {
    match request.and_then(|request| request.cursor) {
        None => Ok(()),
        Some(cursor) => {
            let what = format!("there is no cursor {cursor:.100}: this list is answered whole");
            Err(ErrorData::invalid_params(what, None))
        }
    }
}

fn failed(problem: RestProblem) -> ErrorData {
    problem.error()
}

impl ServerHandler for McpServer {
    fn get_info(&self) -> ServerConfig {
        let capabilities =
            ServerCapabilities::builder().enable_tools().enable_resources().enable_tasks().build();
        let server = Implementation::new("everfold", env!("CARGO_PKG_VERSION")).with_title("Everfold");
        ServerConfig::new(capabilities).with_server_info(server).with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        whole(request)?;
        let role = self.role(&self.rest(&context)).await.map_err(failed)?;
        let shown = tools().iter().filter(|tool| tool.role.is_of(&role)).map(|tool| tool.described.clone());
        Ok(ListToolsResult::with_all_items(shown.collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = tools().iter().find(|tool| tool.name() == request.name) else {
            let what = format!("there is no tool {:.100}; tools/list has those that there are", request.name);
            return Err(ErrorData::new(ErrorCode::INVALID_PARAMS, what, None));
        };
        let call = ToolCall::of(self.rest(&context), &context);
        Ok(match tool.call(call, request.arguments.unwrap_or_default()).await {
            Ok(ToolOutcome::Answer(answer)) => answer.result().into(),
            Ok(ToolOutcome::Run(view)) => CreateTaskResult::new(task::task(&view)).into(),
            Err(problem) => problem.result().into(),
        })
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let view = task::run_of(&self.rest(&context), &request.task_id).await.map_err(failed)?;
        Ok(GetTaskResult::new(task::detailed(&view, asking(&context))))
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let rest = self.rest(&context);
        task::update(&rest, &request.task_id, &request.input_responses).await.map_err(failed)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        task::cancel(&self.rest(&context), &request.task_id).await.map_err(failed)
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        whole(request)?;
        Ok(ListResourcesResult::with_all_items(resources::listed()))
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        whole(request)?;
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let contents = resources::read(&self.rest(&context), &request.uri).await.map_err(failed)?;
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        Err(client_message::unread_parameters(&request)
            .unwrap_or_else(|| ErrorData::new(ErrorCode::METHOD_NOT_FOUND, request.method, None)))
    }
}
