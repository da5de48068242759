"""Grafana's content, written through its API: folder, data source, dashboard, rules, notification.

The content comes as values from ``dashboards/`` and ``alerts/`` and only becomes resources here.
Uids are fixed, so that links and rules stay valid when a resource is created again. Each new
container adds an annotation to mark its deployment, with the time at which Grafana receives it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumiverse_grafana as grafana
from pulumiverse_grafana import alerting, oss

from alerts.grafana import Query, Rule, RuleGroup
from alerts.model import Severity
from infra.grafana_readiness import GrafanaCheck, NotReadyError
from infra.secret_output import secret_output
from infra.settings.mute_timings import SEVERITIES, MuteTiming
from infra.settings.types import NO_SECRET, Secret
from monitoring.names import DATASOURCE_UID, DEPLOYMENT_TAGS

FOLDER_UID = "frontier-llm"
FOLDER_TITLE = "Frontier LLM"
CONTACT_POINT = "Frontier LLM"

# Mutes alerts all the time: they are shown and not sent.
NOT_SENT = "Frontier LLM not sent"

# Alerts with the same values of these labels share a notification: one fault fires several.
GROUP_BY = ["grafana_folder", "service"]
# Grafana demands these two of a rule that names its contact point.
RULE_GROUP_BY = ["grafana_folder", "alertname"]


@dataclass(frozen=True)
class Notification:
    """Where and when alerts are sent; without a receiver, Grafana only shows them.

    Attributes:
        webhook_url: URL that gets each notification as JSON.
        slack_url: URL of a Slack incoming webhook.
        email_addresses: Who gets mails.
        lowest_severity: Lowest severity of the alerts that are sent.
        mute_timings: When alerts aren't sent.
    """

    webhook_url: Secret = NO_SECRET
    slack_url: Secret = NO_SECRET
    email_addresses: tuple[str, ...] = ()
    lowest_severity: Severity = "warning"
    mute_timings: tuple[MuteTiming, ...] = ()

    def __bool__(self) -> bool:
        """Return whether alerts are sent anywhere."""
        return bool(self.webhook_url or self.slack_url or self.email_addresses)


MuteTimingNames = list[pulumi.Input[str]]


@dataclass(frozen=True)
class _Route:
    """How alerts reach their receivers: by which contact point, and what mutes each severity."""

    contact_point: pulumi.Output[str]
    muted_by: Mapping[Severity, MuteTimingNames]


_ALWAYS = MuteTiming(NOT_SENT, times=(("00:00", "24:00"),))
# Sent and repeated sooner than the others.
_URGENT: Severity = "critical"


@dataclass(frozen=True)
class PrometheusSource:
    """How Grafana queries Prometheus.

    Attributes:
        url: URL of Prometheus, as Grafana reaches it.
        scrape_interval_seconds: Panels show rates over at least four of these.
        user: User name at Prometheus; empty for none.
        password: The user's password.
        token: Bearer token instead of a user; empty for none.
        authorities: PEM text with the authority of Prometheus' certificate; empty for the system's.
        existing_uid: Uid of a data source that Grafana has already, which is used as it is; empty
            to create one.
    """

    url: str
    scrape_interval_seconds: int
    user: str = ""
    password: Secret = NO_SECRET
    token: Secret = NO_SECRET
    authorities: str = ""
    existing_uid: str = ""

    @property
    def uid(self) -> str:
        """Uid of the data source."""
        return self.existing_uid or DATASOURCE_UID


@dataclass(frozen=True)
class GrafanaContentArgs:
    """What is written to Grafana.

    Attributes:
        source: How Grafana queries Prometheus.
        dashboard: JSON text of the dashboard, with its uid.
        rule_groups: Alert rules.
        notification: Where alerts are sent.
        owns_policies: Whether to write Grafana's only tree of notification policies. If not, each
            rule names its contact point instead.
        check: Checks that Grafana can be written to, and that its content is still there.
        deployed: Ids of the containers whose deployments are marked, by service.
        volume: Grafana's database. Its deletion deletes the content too, so that the resources need
            no deletion of their own.
    """

    source: PrometheusSource
    dashboard: str
    rule_groups: Sequence[RuleGroup]
    owns_policies: bool
    check: GrafanaCheck
    deployed: Mapping[str, pulumi.Output[str]]
    notification: Notification = field(default_factory=Notification)
    volume: pulumi.Resource | None = None


class GrafanaContent(pulumi.ComponentResource):
    """Everything that the stack writes to Grafana."""

    def __init__(
        self, name: str, args: GrafanaContentArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("frontier:infra:GrafanaContent", name, {}, opts)
        self._name = name
        self._options = self._api_options(args)
        folder = oss.Folder(
            f"{name}-folder", uid=FOLDER_UID, title=FOLDER_TITLE, opts=self._options
        )
        source = None if args.source.existing_uid else self._source(args.source)
        oss.Dashboard(
            f"{name}-overview",
            folder=folder.uid,
            config_json=args.dashboard,
            overwrite=True,
            opts=self._after(source),
        )
        for service, container_id in args.deployed.items():
            self._mark_deployment(service, container_id)
        route = self._route(args.notification)
        for group in args.rule_groups:
            self._rule_group(group, folder, source, None if args.owns_policies else route)
        if route is not None and args.owns_policies:
            self._policy(route)
        folder.uid.apply(lambda uid: _confirm(args.check, uid))
        self.register_outputs({})

    def _api_options(self, args: GrafanaContentArgs) -> pulumi.ResourceOptions:
        gate = pulumi.ResourceHook(f"{self._name}-ready", lambda _: await_access(args))
        return pulumi.ResourceOptions(
            parent=self,
            deleted_with=args.volume,
            hooks=pulumi.ResourceHookBinding(before_create=[gate], before_update=[gate]),
        )

    def _after(self, source: oss.DataSource | None) -> pulumi.ResourceOptions:
        """Return options that create a resource after the data source."""
        after = [] if source is None else [source]
        return pulumi.ResourceOptions.merge(self._options, pulumi.ResourceOptions(depends_on=after))

    def _source(self, source: PrometheusSource) -> oss.DataSource:
        settings: dict[str, str | bool] = {
            "httpMethod": "POST",
            # Without it, Grafana assumes 15 s, and rates over four scrapes have gaps.
            "timeInterval": f"{source.scrape_interval_seconds}s",
        }
        secrets = {}
        if source.password:
            secrets["basicAuthPassword"] = source.password.value
        if source.authorities:
            settings["tlsAuthWithCACert"] = True
            secrets["tlsCACert"] = source.authorities
        return oss.DataSource(
            f"{self._name}-prometheus",
            uid=source.uid,
            name="Prometheus (Frontier LLM)",
            type="prometheus",
            url=source.url,
            basic_auth_enabled=bool(source.user) or None,
            basic_auth_username=source.user or None,
            json_data_encoded=json.dumps(settings),
            http_headers=_bearer(source.token),
            secure_json_data_encoded=pulumi.Output.secret(json.dumps(secrets)) if secrets else None,
            opts=self._options,
        )

    def _mark_deployment(self, service: str, container_id: pulumi.Output[str]) -> None:
        """Annotate a new container; the annotations of earlier ones stay as the history."""
        oss.Annotation(
            f"{self._name}-deployed-{service}",
            text=container_id.apply(lambda known: f"{service} deployed (container {known[:12]})"),
            tags=list(DEPLOYMENT_TAGS),
            opts=pulumi.ResourceOptions.merge(
                self._options,
                pulumi.ResourceOptions(replace_on_changes=["text"], retain_on_delete=True),
            ),
        )

    def _rule_group(
        self,
        group: RuleGroup,
        folder: oss.Folder,
        source: oss.DataSource | None,
        route: _Route | None,
    ) -> None:
        alerting.RuleGroup(
            f"{self._name}-rules-{group.name}",
            name=group.name,
            folder_uid=folder.uid,
            interval_seconds=group.interval_seconds,
            rules=[rule_args(rule, _rule_settings(rule, route)) for rule in group.rules],
            opts=self._after(source),
        )

    def _route(self, notification: Notification) -> _Route | None:
        if not notification:
            return None
        contact_point = alerting.ContactPoint(
            f"{self._name}-contact-point",
            name=CONTACT_POINT,
            webhooks=_webhooks(notification),
            slacks=_slacks(notification),
            emails=_emails(notification),
            opts=self._options,
        )
        return _Route(contact_point.name, self._muted_by(notification))

    def _muted_by(self, notification: Notification) -> Mapping[Severity, MuteTimingNames]:
        """Create the mute timings and return the names of those that mute each severity."""
        names = {
            timing: self._mute_timing(timing) if timing.is_defined else timing.name
            for timing in notification.mute_timings
        }
        muted = {
            severity: [name for timing, name in names.items() if severity in timing.severities]
            for severity in SEVERITIES
        }
        if not_sent := SEVERITIES[SEVERITIES.index(notification.lowest_severity) + 1 :]:
            always = self._mute_timing(_ALWAYS)
            muted |= {severity: [always] for severity in not_sent}
        return muted

    def _mute_timing(self, timing: MuteTiming) -> pulumi.Input[str]:
        interval = alerting.MuteTimingIntervalArgs(
            times=[
                alerting.MuteTimingIntervalTimeArgs(start=start, end=end)
                for start, end in timing.times
            ]
            or None,
            weekdays=list(timing.weekdays) or None,
            location=timing.location,
        )
        return alerting.MuteTiming(
            f"{self._name}-mute-{timing.name}",
            name=timing.name,
            intervals=[interval],
            opts=self._options,
        ).name

    def _policy(self, route: _Route) -> None:
        alerting.NotificationPolicy(
            f"{self._name}-policy",
            contact_point=route.contact_point,
            group_bies=GROUP_BY,
            group_wait="30s",
            group_interval="5m",
            repeat_interval="12h",
            policies=[
                _policy_of(severity, route)
                for severity in SEVERITIES
                # The others are sent as the tree's root says.
                if severity == _URGENT or route.muted_by[severity]
            ],
            opts=self._options,
        )


def rule_args(
    rule: Rule, settings: alerting.RuleGroupRuleNotificationSettingsArgs | None = None
) -> alerting.RuleGroupRuleArgs:
    """Return the provider's arguments for one rule."""
    return alerting.RuleGroupRuleArgs(
        uid=rule.uid,
        name=rule.title,
        condition=rule.condition,
        for_=rule.for_,
        no_data_state=rule.no_data_state,
        exec_err_state=rule.exec_err_state,
        missing_series_evals_to_resolve=rule.missing_series_evals_to_resolve,
        labels=rule.labels,
        annotations=rule.annotations,
        datas=[_data(query) for query in rule.queries],
        notification_settings=settings,
    )


def _data(query: Query) -> alerting.RuleGroupRuleDataArgs:
    return alerting.RuleGroupRuleDataArgs(
        ref_id=query.ref_id,
        datasource_uid=query.datasource_uid,
        model=json.dumps(query.model, sort_keys=True),
        relative_time_range=alerting.RuleGroupRuleDataRelativeTimeRangeArgs(
            from_=query.from_seconds, to=0
        ),
    )


def _webhooks(notification: Notification) -> list[alerting.ContactPointWebhookArgs] | None:
    url = notification.webhook_url
    return [alerting.ContactPointWebhookArgs(url=secret_output(url))] if url else None


def _slacks(notification: Notification) -> list[alerting.ContactPointSlackArgs] | None:
    url = notification.slack_url
    return [alerting.ContactPointSlackArgs(url=secret_output(url))] if url else None


def _emails(notification: Notification) -> list[alerting.ContactPointEmailArgs] | None:
    addresses = list(notification.email_addresses)
    return [alerting.ContactPointEmailArgs(addresses=addresses)] if addresses else None


def _policy_of(severity: Severity, route: _Route) -> alerting.NotificationPolicyPolicyArgs:
    """Return the policy for one severity; what it doesn't set is as in the tree's root."""
    urgent = severity == _URGENT
    return alerting.NotificationPolicyPolicyArgs(
        contact_point=route.contact_point,
        matchers=[
            alerting.NotificationPolicyPolicyMatcherArgs(
                label="severity", match="=", value=severity
            )
        ],
        group_bies=GROUP_BY,
        mute_timings=list(route.muted_by[severity]) or None,
        group_wait="10s" if urgent else None,
        group_interval="1m" if urgent else None,
        repeat_interval="4h" if urgent else None,
    )


def _rule_settings(
    rule: Rule, route: _Route | None
) -> alerting.RuleGroupRuleNotificationSettingsArgs | None:
    """Return how a rule is sent that doesn't use the notification policies."""
    if route is None:
        return None
    severity = next(name for name in SEVERITIES if name == rule.labels["severity"])
    return alerting.RuleGroupRuleNotificationSettingsArgs(
        contact_point=route.contact_point,
        group_bies=RULE_GROUP_BY,
        mute_timings=list(route.muted_by[severity]) or None,
    )


def _bearer(token: Secret) -> dict[str, pulumi.Output[str]] | None:
    """Return the header that sends a token; the provider stores it as Grafana does."""
    return {"Authorization": pulumi.Output.secret(f"Bearer {token.value}")} if token else None


def await_access(args: GrafanaContentArgs) -> None:
    """Wait for Grafana, and check that the login may do what the content needs.

    Raises:
        NotReadyError: It isn't ready in time, or the login may not.
    """
    check, source = args.check, args.source
    check.await_ready()
    check.require_access(data_sources=not source.existing_uid, rules=bool(args.rule_groups))
    if source.existing_uid:
        check.require_datasource(source.uid)


def _confirm(check: GrafanaCheck, folder_uid: str) -> None:
    """Raise an error if content is lost, which nothing else notices; but not in a preview."""
    if pulumi.runtime.is_dry_run():
        return
    try:
        check.confirm_folder(folder_uid)
    except NotReadyError as error:
        # Pulumi shows this error without a traceback.
        raise pulumi.RunError(str(error)) from error


def api_provider(
    name: str, url: str, auth: pulumi.Input[str], *, depends_on: Sequence[pulumi.Resource]
) -> grafana.Provider:
    """Create a provider for one Grafana.

    The URL is plain text, and ``depends_on`` sets the order: a URL that is unknown while Grafana is
    replaced would hide all changes of its content in a preview. A refused login isn't retried.
    """
    return grafana.Provider(
        name,
        url=url,
        auth=auth,
        retries=20,
        retry_wait=3,
        retry_status_codes=["429", "5xx", "412"],
        opts=pulumi.ResourceOptions(depends_on=list(depends_on)),
    )
