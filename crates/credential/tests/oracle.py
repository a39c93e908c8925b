"""What AWS's own library makes of the same keys and times: a line of JSON for each line of JSON that comes in."""

import datetime
import json
import sys
from unittest import mock

import botocore.auth
import botocore.awsrequest
import botocore.credentials


def sign(case):
    keys = botocore.credentials.Credentials(case["id"], case["secret"], case.get("session"))
    now = datetime.datetime.fromisoformat(case["time"])
    request = botocore.awsrequest.AWSRequest(
        method=case["method"], url=case["url"], headers=case.get("headers", {}), data=case.get("body", "")
    )
    with mock.patch.object(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: now):
        if "expires" in case:
            signer = botocore.auth.SigV4QueryAuth(keys, case["service"], case["region"], expires=case["expires"])
            signer.add_auth(request)
            return {"url": request.url}
        botocore.auth.SigV4Auth(keys, case["service"], case["region"]).add_auth(request)
        return {"authorization": request.headers["Authorization"]}


for line in sys.stdin:
    print(json.dumps(sign(json.loads(line))), flush=True)
