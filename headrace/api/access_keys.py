"""Access keys, as Huawei Cloud's IAM has them (``/v3.0/OS-CREDENTIAL``): a secret key is told once, when it is made."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response

from headrace.api.access import Access, needs
from headrace.api.answers import Answer
from headrace.api.fields import Wire
from headrace.api.keystone import Asked, Name, TokenText, Tolerant
from headrace.api.keystone_answers import Id, Time, keystone_answers
from headrace.api.keystone_bodies import key_body, time_text
from headrace.api.keystone_projects import Description, User, Words
from headrace.api.keystone_users import refuse_temporary_key, visible_user
from headrace.api.services import Parts, Services
from headrace.domain.errors import BadField, IdentityNotFound
from headrace.domain.rights import Standing
from headrace.store.keys import AccessKey

router = APIRouter()

KEYS = "/v3.0/OS-CREDENTIAL/credentials"
_SECRET = {"Cache-Control": "no-store"}
Status = Literal["active", "inactive"]
AccessKeyText = Annotated[str, Field(description="The access key", examples=["HA43OIYNJIY8SVIL4T1O"])]


class NewKeyFields(Wire):
    """A key to make."""

    user_id: Annotated[Name, Field(description="Whose: one's own, or as an administrator of the server anybody's")]
    description: Description = ""


class NewKey(Wire):
    """POST credentials."""

    credential: Annotated[NewKeyFields, Field(description="The key")]


class KeyChangeFields(Wire):
    """What is to change; absent: stays."""

    status: Annotated[Status | None, Field(description="inactive: the key is good for nothing")] = None
    description: Annotated[Words | None, Field(description="Words for others to read")] = None


class KeyChange(Wire):
    """PUT credentials/{access_key}."""

    credential: Annotated[KeyChangeFields, Field(description="What is to change")]


class KeyQuery(Asked):
    """Whose keys; absent: one's own."""

    user_id: Annotated[Name | None, Field(description="Whose; absent: one's own")] = None


class TokenWish(Tolerant):
    """Which token, and for how long."""

    id: Annotated[TokenText | None, Field(description="Whose key it will be; absent: the token of X-Auth-Token")] = None
    duration_seconds: Annotated[int, Field(ge=900, le=86400, description="How long the key is good")] = 900


class TemporaryIdentity(Tolerant):
    """The token that the key is made from."""

    methods: Annotated[list[Literal["token"]], Field(min_length=1, max_length=1, description="By a token")]
    token: Annotated[TokenWish, Field(description="Which, and for how long")] = TokenWish()


class TemporaryAuth(Tolerant):
    """Who one is."""

    identity: Annotated[TemporaryIdentity, Field(description="Who one is")]


class TemporaryWish(Tolerant):
    """POST securitytokens."""

    auth: Annotated[TemporaryAuth, Field(description="Who one is")]


class KeyFields(Answer):
    """An access key, without its secret."""

    access: AccessKeyText
    create_time: Time
    description: Annotated[str, Field(description="Words for others to read")]
    status: Annotated[Status, Field(description="inactive: good for nothing")]
    user_id: Id


class KeyAnswer(Answer):
    """One key."""

    credential: Annotated[KeyFields, Field(description="The key")]


class KeysAnswer(Answer):
    """Keys, the oldest first."""

    credentials: Annotated[list[KeyFields], Field(description="The oldest first")]


class MadeKeyFields(KeyFields):
    """A key with its secret."""

    secret: Annotated[str, Field(description="The secret key, told this once")]


class MadeKeyAnswer(Answer):
    """The key that was made."""

    credential: Annotated[MadeKeyFields, Field(description="The key, with its secret")]


class TemporaryKeyFields(Answer):
    """A temporary key; all three parts go with each request."""

    access: AccessKeyText
    secret: Annotated[str, Field(description="The secret key")]
    securitytoken: Annotated[str, Field(description="Goes with each request, as X-Security-Token")]
    expires_at: Time


class TemporaryKeyAnswer(Answer):
    """The temporary key that was made."""

    credential: Annotated[TemporaryKeyFields, Field(description="The key")]


@router.post(KEYS, **keystone_answers(MadeKeyAnswer, status=201))
def create_key(
    body: NewKey,
    request: Request,
    access: Annotated[Access, needs(Standing.USER, trace="addCredential")],
    parts: Parts,
) -> Response:
    """A key for oneself, or as an administrator of the server for anybody."""
    refuse_temporary_key(request)
    user = visible_user(body.credential.user_id, access, parts)
    made = parts.accounts.add_key(user, body.credential.description, trace=access.trace)
    return JSONResponse({"credential": {**key_body(made.stored), "secret": made.secret_key}}, 201, _SECRET)


@router.get(KEYS, **keystone_answers(KeysAnswer))
def list_keys(query: Annotated[KeyQuery, Query()], access: User, parts: Parts) -> dict[str, Any]:
    """Permanent keys of a user: one's own, or for an administrator of the server anybody's."""
    user = visible_user(query.user_id or access.principal.user_id, access, parts)
    return {"credentials": [key_body(key) for key in parts.accounts.keys.permanent(user.id)]}


@router.get(f"{KEYS}/{{access_key}}", **keystone_answers(KeyAnswer))
def show_key(access_key: str, access: User, parts: Parts) -> dict[str, Any]:
    """One key."""
    return {"credential": key_body(_key(access_key, access, parts))}


@router.put(f"{KEYS}/{{access_key}}", **keystone_answers(KeyAnswer))
def change_key(
    access_key: str,
    body: KeyChange,
    request: Request,
    access: Annotated[Access, needs(Standing.USER, trace="updateCredential")],
    parts: Parts,
) -> dict[str, Any]:
    """Makes a key inactive or active again."""
    refuse_temporary_key(request)
    key, wanted = _key(access_key, access, parts), body.credential
    changes: dict[str, Any] = {}
    if wanted.status is not None:
        changes["enabled"] = wanted.status == "active"
    if wanted.description is not None:
        changes["description"] = wanted.description
    if changes:
        parts.accounts.keys.change(access_key, trace=access.trace, **changes)
    return {"credential": key_body(replace(key, **changes))}


@router.delete(f"{KEYS}/{{access_key}}", **keystone_answers(status=204))
def delete_key(
    access_key: str,
    request: Request,
    access: Annotated[Access, needs(Standing.USER, trace="deleteCredential")],
    parts: Parts,
) -> Response:
    """The key is good for nothing any more."""
    refuse_temporary_key(request)
    parts.accounts.keys.remove(_key(access_key, access, parts).access_key, trace=access.trace)
    return Response(status_code=204)


@router.post("/v3.0/OS-CREDENTIAL/securitytokens", **keystone_answers(TemporaryKeyAnswer, status=201))
def create_temporary_key(
    body: TemporaryWish,
    access: Annotated[Access, needs(Standing.USER, trace="createTemporaryAccessKey")],
    parts: Parts,
    token: Annotated[
        str | None, Header(alias="X-Auth-Token", max_length=8192, description="The token, if it is not in the body")
    ] = None,
) -> Response:
    """A temporary key of the token's user, good for the token's project."""
    wish = body.auth.identity.token
    text = wish.id or token
    if not text:
        raise BadField("auth.identity.token.id", wish.id, "give a token there, or send it as X-Auth-Token")
    made = parts.accounts.add_temporary_key(text, wish.duration_seconds, trace=access.trace)
    credential = {
        "access": made.stored.access_key,
        "secret": made.secret_key,
        "securitytoken": made.security_token,
        "expires_at": time_text(made.stored.expires_ms or 0),
    }
    return JSONResponse({"credential": credential}, 201, _SECRET)


def _key(access_key: str, access: Access, parts: Services) -> AccessKey:
    """A permanent key that the caller may see; raises IdentityNotFound."""
    key = parts.accounts.keys.find(access_key) if access_key.isascii() else None
    mine = key is not None and (key.user_id == access.principal.user_id or access.principal.is_system_admin)
    if key is None or key.expires_ms is not None or not mine:
        raise IdentityNotFound.of("access key", access_key)
    return key
