"""Pictures and batches: what they came to, and what still waits."""

from deploy.grafana.charts import stat, timeseries
from deploy.grafana.panels import Dashboard, Query, Row, Variable
from deploy.grafana.words import OUTCOMES, PICKED, PICTURES, a_minute, quantile

GLANCE = Row(
    "At a glance",
    (
        stat(
            "Pictures handed out",
            "In the time range.",
            Query(
                f'sum(increase(gempool_pictures_total{{{PICKED}, outcome="ok"}}[$__range])) or on() vector(0)',
                instant=True,
            ),
            unit="none",
            width=4,
            decimals=0,
        ),
        stat(
            "Logo removed",
            "Of the pictures in the time range that should lose it. Far below 100 %: Google may have changed its logo.",
            Query(
                f'sum(increase(gempool_watermark_total{{{PICKED}, verdict="removed"}}[$__range]))'
                f' / sum(increase(gempool_watermark_total{{{PICKED}, verdict!="kept"}}[$__range]))',
                instant=True,
            ),
            unit="percentunit",
            steps=((None, "red"), (0.7, "orange"), (0.9, "green")),
            width=4,
            decimals=1,
        ),
        stat(
            "Not stored",
            "Pictures in the time range that a store did not take.",
            Query(
                f'sum(increase(gempool_pictures_stored_total{{{PICKED}, outcome="failed"}}[$__range])) or on() vector(0)',
                instant=True,
            ),
            unit="none",
            steps=((None, "green"), (1, "red")),
            width=4,
            decimals=0,
        ),
        stat(
            "Batches open",
            "Unfinished ones, as the store told last.",
            Query(f"max(gempool_batches_open{{{PICKED}}})"),
            unit="none",
            width=4,
        ),
        stat(
            "Tasks waiting",
            "Tasks of unfinished batches that do not run yet.",
            Query(f'max(gempool_batch_tasks_pending{{{PICKED}, state="waiting"}})'),
            unit="none",
            width=4,
        ),
        stat(
            "Tasks failed",
            "For good, in the time range.",
            Query(
                f'sum(increase(gempool_batch_tasks_total{{{PICKED}, outcome="failed"}}[$__range])) or on() vector(0)',
                instant=True,
            ),
            unit="none",
            steps=((None, "green"), (1, "orange")),
            width=4,
            decimals=0,
        ),
    ),
)

DRAWN = Row(
    "Pictures",
    (
        timeseries(
            "Pictures by outcome, a minute",
            "`ok` are pictures handed out; `refused` by the model and `failed` are requests. On the way there: only pictures from the web "
            "(`web_only`), and accounts that make no more for now (`used_up`).",
            Query(a_minute("gempool_pictures_total", "outcome"), "{{outcome}}"),
            unit="none",
            stack=True,
            colours=OUTCOMES,
        ),
        timeseries(
            "Time of a request for pictures",
            "From the request's head to the last byte, of requests for pictures on any route.",
            Query(quantile(0.5, "gempool_request_duration_seconds", PICTURES), "p50"),
            Query(quantile(0.95, "gempool_request_duration_seconds", PICTURES), "p95"),
            unit="s",
        ),
        timeseries(
            "Sizes taken from accounts, a minute",
            "`full`: as the model made it. `preview`: the web app's scaled copy, since the other could not be had.",
            Query(a_minute("gempool_picture_downloads_total", "form"), "{{form}}"),
            unit="none",
            stack=True,
        ),
        timeseries(
            "The logo, by verdict, a minute",
            "`removed`; `kept` on demand; or why it was left: `no_logo`, `not_sure` and others; `failed` is a fault of ours.",
            Query(a_minute("gempool_watermark_total", "verdict"), "{{verdict}}"),
            unit="none",
            stack=True,
            colours=OUTCOMES,
        ),
        timeseries(
            "Time of the logo's removal",
            "For one picture. It grows with the picture, and where watermark.workers are too few for the machine's load.",
            Query(quantile(0.5, "gempool_watermark_duration_seconds", PICKED), "p50"),
            Query(quantile(0.95, "gempool_watermark_duration_seconds", PICKED), "p95"),
            unit="s",
        ),
        timeseries(
            "Pictures stored, a minute",
            "By store. `fallback`: the local folder stood in, and only that replica can hand the picture out.",
            Query(a_minute("gempool_pictures_stored_total", "store, outcome"), "{{store}}: {{outcome}}"),
            unit="none",
            stack=True,
        ),
    ),
)

LATER = Row(
    "Batches",
    (
        timeseries(
            "Tasks that have not ended",
            "Of unfinished batches, over all replicas.",
            Query(f"max by (state) (gempool_batch_tasks_pending{{{PICKED}}})", "{{state}}"),
            unit="none",
            stack=True,
        ),
        timeseries(
            "Runs of tasks, by outcome, a minute",
            "`failed` for good; `retried` later; `returned` since no account was free; `lost` to another replica.",
            Query(a_minute("gempool_batch_tasks_total", "outcome"), "{{outcome}}"),
            unit="none",
            stack=True,
            colours=OUTCOMES,
        ),
        timeseries(
            "Time of a task",
            "One run that ended well, by kind.",
            Query(quantile(0.5, "gempool_batch_task_duration_seconds", PICKED, "kind"), "{{kind}} p50"),
            Query(quantile(0.95, "gempool_batch_task_duration_seconds", PICKED, "kind"), "{{kind}} p95"),
            unit="s",
        ),
        timeseries(
            "Tasks completed, by kind, a minute",
            "Over all replicas.",
            Query(
                a_minute("gempool_batch_tasks_total", "kind", f'{PICKED}, outcome="completed"'), "{{kind}}"
            ),
            unit="none",
            stack=True,
        ),
        timeseries(
            "Batches taken in, a minute",
            "By kind.",
            Query(
                a_minute("gempool_batches_created_total", "kind"),
                "{{kind}}",
            ),
            unit="none",
            stack=True,
        ),
        timeseries(
            "Open batches",
            "Unfinished ones.",
            Query(f"max(gempool_batches_open{{{PICKED}}})", "open"),
            unit="none",
        ),
    ),
)

DASHBOARD = Dashboard(
    "gempool-work",
    "Gempool: pictures and batches",
    "What pictures and batches came to, and what still waits.",
    (GLANCE, DRAWN, LATER),
    (Variable("instance", "Replica", "gempool_build_info"),),
)
