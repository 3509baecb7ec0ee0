// Sends one request with the npm SDK; reads it as JSON from standard input, prints what came of it as JSON.
const sdk = require("@huaweicloud/huaweicloud-sdk-core");
const { ClientBuilder } = require("@huaweicloud/huaweicloud-sdk-core/ClientBuilder");

async function main() {
    const request = JSON.parse(require("fs").readFileSync(0, "utf8"));
    const credential = new sdk.BasicCredentials()
        .withAk(request.access_key)
        .withSk(request.secret_key)
        .withProjectId(request.project_id || "p1");
    if (request.security_token) credential.withSecurityToken(request.security_token);
    const client = new ClientBuilder((hc) => hc).withCredential(credential).withEndpoint(request.endpoint).build();
    try {
        const answer = await client.sendRequest({
            method: request.method || "POST",
            url: request.path,
            contentType: "application/json",
            queryParams: request.query || {},
            pathParams: request.path_params || {},
            headers: {},
            data: request.body || {},
        });
        console.log(JSON.stringify({ status: answer.httpStatusCode, body: answer }));
    } catch (error) {
        const { name, httpStatusCode, errorCode, errorMsg, requestId, message } = error;
        console.log(JSON.stringify({ exception: name, status: httpStatusCode, errorCode, errorMsg, requestId, message }));
    }
}

main();
