//! The log: one JSON object a line on stderr, as hashicorp/go-hclog writes it and SPIRE reads it.

mod line;

use std::io::{self, Write};

use line::Fields;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber, span};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Crates, by how their names begin, whose talk below a warning helps nobody who runs SPIRE.
const QUIET: [&str; 7] = ["h2", "hickory", "hyper", "reqwest", "rustls", "tonic", "tower"];

/// Sends everything that the plugin logs through `tracing`, from debug on, to stderr. SPIRE shows
/// what its own `log_level` allows; it tells its plugins no level, and drops what is below debug.
pub(crate) fn install(module: &'static str) {
    let levels = Targets::new()
        .with_default(LevelFilter::DEBUG)
        .with_targets(QUIET.map(|name| (name, LevelFilter::WARN)));
    let log = tracing_subscriber::registry().with(Hclog { module }.with_filter(levels));
    // Fails when the program has installed a log of its own: then that is what it wants.
    let _ = log.try_init();
}

struct Hclog {
    module: &'static str,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Hclog {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut Collect { fields: &mut fields, message: &mut String::new() });
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(&mut Collect { fields, message: &mut String::new() });
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        // From the outermost span to the event: of two fields with one name the innermost counts.
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.extend(of_span);
            }
        }
        let mut message = String::new();
        event.record(&mut Collect { fields: &mut fields, message: &mut message });
        let line = line::render(level(*event.metadata().level()), self.module, &message, &fields);
        // In one write, so that lines of several threads do not mix. There is nowhere to report
        // that it failed.
        let _ = io::stderr().lock().write_all(&line);
    }
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// Takes the fields of a span or an event apart.
struct Collect<'a> {
    fields: &'a mut Fields,
    message: &'a mut String,
}

impl Visit for Collect<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(self.message),
            name => self.fields.set(name, value.into()),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.set(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.set(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.set(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.set(field.name(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
