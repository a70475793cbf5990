"""What Terraform's provider does with an SMN endpoint, request by request, as its source has it.

After huaweicloud/terraform-provider-huaweicloud, ``huaweicloud/services/smn/resource_huaweicloud_smn_{topic,
subscription}.go``. URNs stand in its paths as they are, not percent-encoded.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.clients import LANGUAGE, GoClient, ProviderError
from tests.support.terraform import filled

TOPICS = "/v2/{p}/notifications/topics"
SUBSCRIPTIONS = "/v2/{p}/notifications/subscriptions"
PAGE = 100


@dataclass
class SmnTopic:
    """``huaweicloud_smn_topic``; ``urn`` is the id of the resource, ``state`` what Terraform has read."""

    go: GoClient
    urn: str = ""
    state: dict[str, Any] = field(default_factory=dict)

    def create(self, name: str, display_name: str = "", introduction: str = "") -> None:
        """apply: an introduction is set by a call of its own."""
        body = filled({"name": name, "display_name": display_name})
        self.urn = self.go.call("POST", TOPICS, body, into="SmnTopic", ok=(200, 201))["topic_urn"]
        assert self.urn
        if introduction:
            self._set("introduction", introduction)
        assert self.read()

    def read(self) -> bool:
        """refresh: whether it is still there. The provider panics if what is in ``access_policy`` is no policy."""
        try:
            shown = self.go.call("GET", f"{TOPICS}/{self.urn}", into="SmnTopicGet")
        except ProviderError as error:
            if error.status != 404:
                raise
            return False
        policy, introduction = self._get("access_policy"), self._get("introduction")
        users = ""
        for statement in json.loads(policy)["Statement"] if policy else []:
            if statement["Sid"] == "__user_pub_0":
                csp = statement["Principal"]["CSP"]
                users = csp if csp in ("", "*") else ",".join(csp)
        self.state = {**shown, "users_publish_allowed": users, "introduction": introduction}
        with contextlib.suppress(ProviderError):  # logged only
            path = f"/v2/{{p}}/smn_topic/{shown['name']}/tags"
            headers = {**LANGUAGE, "X-SMN-RESOURCEID-TYPE": "name"}
            self.go.call("GET", path, into="ResourceTags", ok=(200, 202), headers=headers)
        return True

    def update(self, display_name: str | None = None, introduction: str | None = None) -> None:
        """apply of what has changed. A display name that is taken away is left out, an introduction is sent empty."""
        if display_name is not None:
            self.go.call("PUT", f"{TOPICS}/{self.urn}", filled({"display_name": display_name}), into="SmnTopic")
        if introduction is not None:
            self._set("introduction", introduction)
        assert self.read()

    def forbid_users(self) -> None:
        """apply of a configuration without ``users_publish_allowed`` and ``services_publish_allowed``."""
        self._set("access_policy", "")
        assert self.read()

    def delete(self) -> None:
        """destroy: it is looked for until it is gone."""
        self.go.call("DELETE", f"{TOPICS}/{self.urn}", ok=(200,))
        with pytest.raises(ProviderError, match=": 404 "):
            self.go.call("GET", f"{TOPICS}/{self.urn}", into="SmnTopicGet")

    def _get(self, name: str) -> str:
        found = self.go.call("GET", f"{TOPICS}/{self.urn}/attributes?name={name}", into="SmnPolicies")
        return str(found["attributes"][name])

    def _set(self, name: str, value: str) -> None:
        self.go.call("PUT", f"{TOPICS}/{self.urn}/attributes/{name}", {"value": value}, into="SmnTopic")


@dataclass
class SmnSubscription:
    """``huaweicloud_smn_subscription``; ``urn`` is the id of the resource."""

    go: GoClient
    topic_urn: str
    urn: str = ""
    state: dict[str, Any] = field(default_factory=dict)

    def create(self, protocol: str, endpoint: str, remark: str = "") -> None:
        """apply."""
        body = filled({"endpoint": endpoint, "protocol": protocol, "remark": remark})
        made = self.go.call("POST", self._of_topic, body, into="SmnSubscription", ok=(200, 201))
        self.urn = made["subscription_urn"]
        assert self.read()

    def read(self) -> bool:
        """refresh: it is looked for in all pages of its topic; a topic that is gone is a subscription that is."""
        try:
            found = pages(self.go, self._of_topic, "SmnSubscriptions", "subscriptions")
        except ProviderError as error:
            if error.status != 404:
                raise
            return False
        mine = [one for one in found if one["subscription_urn"] == self.urn]
        self.state = mine[0] if mine else {}
        return bool(mine)

    def update(self, remark: str) -> None:
        """apply of another remark; of anything else it is made anew."""
        self.go.call("PUT", f"{self._of_topic}/{self.urn}", {"remark": remark}, headers={})
        assert self.read()

    def delete(self) -> None:
        """destroy."""
        self.go.call("DELETE", f"{SUBSCRIPTIONS}/{self.urn}", ok=(200,))

    @property
    def _of_topic(self) -> str:
        return f"{TOPICS}/{self.topic_urn}/subscriptions"


def pages(go: GoClient, path: str, into: str, name: str) -> list[dict[str, Any]]:
    """golangsdk/pagination/offset.go: until a page is empty; the next one's query is written in the order of names."""
    found = list[dict[str, Any]]()
    query, offset = f"offset=0&limit={PAGE}", 0
    while page := go.call("GET", f"{path}?{query}", into=into)[name]:
        found += page
        offset += PAGE
        assert offset < 100 * PAGE, "the pages have no end"
        query = f"limit={PAGE}&offset={offset}"
    return found
