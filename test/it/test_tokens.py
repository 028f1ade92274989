# SPDX-License-Identifier: Apache-2.0
"""Whose tokens are taken: ours, of this realm, from before and after a rotation of keys; an outside issuer's; nobody else's."""
import base64
import hashlib
import hmac
import json
import os
import subprocess
import time

import pytest
import requests
from authlib.jose import JsonWebKey, jwt

import contract
from conftest import BUILD, REALM_PATH, Api, wait_for

ISSUER, AUDIENCE = "https://idp.example.com/realms/partners", "connect-api"


def status(server, token):
    answer = contract.check(requests.get(server.url + "/v2/products", headers={"Authorization": "Bearer " + token}, timeout=30))
    return answer.status_code


def key_set(server):
    return contract.check(requests.get(server.env["TOPUP_SERVER"] + REALM_PATH + "/protocol/openid-connect/certs", timeout=30)).json()


def topup(server, *arguments):
    env = {**os.environ, **server.env, "HOME": str(server.data)}
    done = subprocess.run([BUILD / "topup", *arguments], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def kid_of(token):
    head = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]


# ---- ours ----

def test_keys_rotate_with_overlap(new_demo, tmp_path):
    server = new_demo(data=tmp_path / "data")
    old, old_keys = server.token(), key_set(server)
    assert [key["kid"] for key in old_keys["keys"]] == [kid_of(old)]
    fresh_kid = json.loads(topup(server, "key", "rotate", "--json"))["kid"]
    assert fresh_kid != kid_of(old)
    new = server.token()
    assert kid_of(new) == fresh_kid, "the fresh key signs at once"
    assert status(server, old) == 200 and status(server, new) == 200
    kids = {key["kid"] for key in key_set(server)["keys"]}
    assert kids == {kid_of(old), fresh_kid}, "both are in the key set"
    for token in (old, new):
        jwt.decode(token, JsonWebKey.import_key_set(key_set(server))).validate()
    with pytest.raises(ValueError):  # who has only the key set of before cannot know the fresh key
        jwt.decode(new, JsonWebKey.import_key_set(old_keys))
    server.stop()
    server = new_demo(data=tmp_path / "data")
    assert status(server, old) == 401, "its issuer had another port"
    assert {key["kid"] for key in key_set(server)["keys"]} == kids, "keys outlive the process"
    assert kid_of(server.token()) == fresh_kid


@pytest.mark.skipif(not os.environ.get("LONG"), reason="takes half a minute; LONG=1 runs it")
def test_an_old_key_leaves_when_its_tokens_have_expired(new_demo):
    server = new_demo("-o", "access_token_seconds=10", "-o", "refresh_token_seconds=10")
    old = kid_of(server.token())
    topup(server, "key", "rotate")
    assert old in {key["kid"] for key in key_set(server)["keys"]}
    wait_for(lambda: old not in {key["kid"] for key in key_set(server)["keys"]}, 45, "the old key's end")
    assert status(server, server.token()) == 200


def test_a_token_of_another_realm(new_demo, tmp_path):
    """The same keys, the same place, another realm: the signature is good, the issuer is not."""
    base = "base_url=http://api.example.com"
    listen = ["-o", base, "-o", "realm=other"]
    server = new_demo(*listen, data=tmp_path / "data")

    def at(server):
        return "http://" + server.ready()["listen"]

    def token(server, realm, expected=200):
        answer = contract.check(requests.post(
            f"{at(server)}/auth/realms/{realm}/protocol/openid-connect/token", timeout=30,
            data={"grant_type": "client_credentials", "client_id": server.env["CLIENT_ID"], "client_secret": server.env["CLIENT_SECRET"]}))
        assert answer.status_code == expected
        return answer.json().get("access_token")

    foreign = token(server, "other")
    token(server, "tru-staff", 404)
    server.stop()
    server = new_demo("-o", base, data=tmp_path / "data")
    own = token(server, "tru-staff")
    assert kid_of(own) == kid_of(foreign)
    for given, expected in ((own, 200), (foreign, 401)):
        answer = contract.check(requests.get(at(server) + "/v2/products", headers={"Authorization": "Bearer " + given}, timeout=30))
        assert answer.status_code == expected, answer.text


def test_a_refresh_token_is_no_access_token(new_demo):
    server = new_demo()
    address = server.env["TOPUP_SERVER"] + REALM_PATH + "/protocol/openid-connect/token"
    who = {"client_id": server.env["CLIENT_ID"], "client_secret": server.env["CLIENT_SECRET"]}
    pair = requests.post(address, data={"grant_type": "client_credentials", **who}, timeout=30).json()
    contract.secrets.add(pair["refresh_token"])
    assert status(server, pair["refresh_token"]) == 401
    assert status(server, pair["access_token"]) == 200
    wrong = contract.check(requests.post(address, data={"grant_type": "refresh_token", "refresh_token": pair["access_token"], **who}, timeout=30))
    assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("data,code,error", [
    ({}, 400, "invalid_request"),
    ({"grant_type": "password", "username": "a", "password": "b"}, 400, "unsupported_grant_type"),
    ({"grant_type": "client_credentials", "client_id": "truphone", "client_secret": "wrong"}, 401, "invalid_client"),
    ({"grant_type": "client_credentials", "client_id": "nobody", "client_secret": "wrong"}, 401, "invalid_client"),
    ({"grant_type": "client_credentials", "client_id": "x' OR '1'='1", "client_secret": "x' OR '1'='1"}, 401, "invalid_client"),
    ({"grant_type": "client_credentials"}, 401, "invalid_client"),
    ({"grant_type": "client_credentials", "client_id": "a" * 5000, "client_secret": "b" * 5000}, 401, "invalid_client"),
])
def test_errors_of_the_token_endpoint(demo, data, code, error):
    answer = requests.post(demo.env["TOPUP_SERVER"] + REALM_PATH + "/protocol/openid-connect/token", data=data, timeout=30)
    contract.check(answer)
    assert (answer.status_code, answer.json()["error"]) == (code, error), answer.text
    assert answer.json()["error_description"]


# ---- an outside issuer's ----

class OutsideIssuer:
    """Another identity provider, as far as we see it: a key set in a file, and tokens signed with its keys."""

    def __init__(self, folder):
        self.file = folder / "keys.json"
        self.keys = {"RS256": JsonWebKey.generate_key("RSA", 2048, {"kid": "rsa-1"}, is_private=True),
                     "ES256": JsonWebKey.generate_key("EC", "P-256", {"kid": "ec-1"}, is_private=True)}
        self.publish()

    def publish(self):
        fresh = self.file.with_suffix(".new")
        fresh.write_text(json.dumps({"keys": [key.as_dict(is_private=False, use="sig", alg=alg) for alg, key in self.keys.items()]}))
        fresh.rename(self.file)

    def token(self, alg, key=None, **claims):
        now = int(time.time())
        key = key or self.keys[alg]
        payload = {"iss": ISSUER, "aud": AUDIENCE, "azp": "truphone", "sub": "service-account", "iat": now, "exp": now + 300, **claims}
        token = jwt.encode({"alg": alg, "kid": key.kid, "typ": "JWT"}, {k: v for k, v in payload.items() if v is not None}, key).decode()
        contract.secrets.add(token)
        return token


@pytest.fixture
def outside(tmp_path):
    return OutsideIssuer(tmp_path)


@pytest.fixture
def server(new_demo, outside):
    return new_demo("-o", f"outside_issuer={ISSUER}", "-o", f"outside_keys_file={outside.file}", "-o", f"outside_audience={AUDIENCE}")


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_an_outside_issuers_tokens(server, outside, alg):
    now = int(time.time())
    assert status(server, outside.token(alg)) == 200
    assert status(server, outside.token(alg, aud=["something", AUDIENCE])) == 200
    order = Api(server, outside.token(alg)).order()
    assert order["status"] == "COMPLETED"
    assert Api(server).get(order["_metadata"]["links"]["_self"]).status_code == 200, "the same partner by either token"
    stranger = {"RS256": JsonWebKey.generate_key("RSA", 2048, {"kid": "rsa-1"}, is_private=True),
                "ES256": JsonWebKey.generate_key("EC", "P-256", {"kid": "ec-1"}, is_private=True)}[alg]
    bad = {"another issuer": {"iss": ISSUER + "/other"}, "our issuer": {"iss": server.env["TOPUP_SERVER"] + REALM_PATH},
           "another audience": {"aud": "something"}, "no audience": {"aud": None}, "expired": {"exp": now - 10}, "never expires": {"exp": None},
           "not yet": {"nbf": now + 3600}, "an unknown partner": {"azp": "nobody"}, "no partner": {"azp": None}, "a strange partner": {"azp": 7},
           "no issuer": {"iss": None}, "a stranger's key under a known name": {"key": stranger}}
    for name, claims in bad.items():
        assert status(server, outside.token(alg, **claims)) == 401, name
    head, claims, signature = outside.token(alg).split(".")
    assert status(server, f"{head}.{claims}.{signature[:-6]}") == 401
    assert status(server, f"{head}.{claims}.") == 401


def test_the_algorithm_is_the_keys_not_the_tokens(server, outside):
    """The public key, which everybody knows, must not work as the secret of an HMAC."""
    public = outside.keys["RS256"].as_pem(is_private=False)
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    now = int(time.time())
    claims = part(json.dumps({"iss": ISSUER, "aud": AUDIENCE, "azp": "truphone", "iat": now, "exp": now + 300}).encode())
    signed = part(json.dumps({"alg": "HS256", "kid": "rsa-1", "typ": "JWT"}).encode()) + b"." + claims
    forged = signed + b"." + part(hmac.new(public, signed, hashlib.sha256).digest())
    assert status(server, forged.decode()) == 401
    unsigned = part(json.dumps({"alg": "none", "kid": "rsa-1", "typ": "JWT"}).encode()) + b"." + claims + b"."
    assert status(server, unsigned.decode()) == 401


def test_the_outside_issuer_rotates_its_keys(server, outside):
    before = outside.token("ES256")
    assert status(server, before) == 200
    outside.keys["ES256"] = JsonWebKey.generate_key("EC", "P-256", {"kid": "ec-2"}, is_private=True)
    outside.publish()
    after = outside.token("ES256")
    wait_for(lambda: status(server, after) == 200, 10, "the new key")
    outside.file.write_text("broken")

    def warned():  # the file is looked at when a token comes that was not seen before
        assert status(server, outside.token("ES256")) == 200, "a broken file does not take the known keys away"
        return any(line["event"] == "auth.outside_keys_unreadable" for line in server.log_lines())

    wait_for(warned, 10, "a warning")


def test_without_an_outside_issuer_nobody_elses_tokens_are_taken(demo, outside):
    assert status(demo, outside.token("RS256")) == 401
