//! A pipeline in Rust with a typed function and a gate. Kill it while it waits, and run it again.
use everfold_api::embed::*;
use serde_json::json;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Order {
    item: String,
    count: u32,
}

#[derive(serde::Serialize, schemars::JsonSchema)]
struct Receipt {
    key: String,
    price: u32,
}

async fn place(call: Call, order: Order) -> Result<Receipt, StepError> {
    call.log(format!("{} of {}", order.count, order.item));
    Ok(Receipt { key: call.idempotency_key().to_owned(), price: order.count * 3 })
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let with = json!({ "item": "${input.item}", "count": "${input.count}" });
    let order = Step::function("order", "shop.order").with(with);
    let pipeline = Pipeline::new("shop/order")
        .step(order.gate(Gate::expression("cheap", "output.price < 10").on_fail(Route::block())))
        .step(Step::wait("delivery", Wait::span("2s")))
        .output("${steps.order.output.key}")
        .build()?;
    let folder = std::env::var("SHOP_DATA").unwrap_or_else(|_| "shop-data".to_owned());
    let place = Function::new("shop.order", place).summary("Orders an item.").idempotent();
    let engine = Everfold::at(folder).function(place).open().await?;
    let run = engine.start(&pipeline, json!({ "item": "tea", "count": 2 })).once("order 1").await?;
    println!("run {}", run.id());
    let end = run.ended().await?;
    println!("{} with {}", end.status, end.output);
    engine.close().await;
    Ok(())
}
