// The two clients that the server promises to serve, each as it is published.
// What they call differently is given one name here; nothing is changed.
import "./preload.mjs";
import * as core from "@nats-io/nats-core";
import * as nats from "nats.ws";

const natsCore = {
  name: "@nats-io/nats-core",
  connect: (options) => core.wsconnect(options),
  /** The strategy of requestMany that ends at an empty message. */
  sentinel: "sentinel",
  isPermission: (error) => error instanceof core.errors.PermissionViolationError,
  isAuthorization: (error) => error instanceof core.errors.AuthorizationError,
  isNoResponders: (error) => error instanceof core.errors.RequestError && error.isNoResponders(),
  /** What a status() event says went wrong, as text; undefined for other events. */
  errorText: (status) => (status.type === "error" ? `${status.error.message}` : undefined),
  causeOf: (error) => error.cause ?? error,
};

const natsWs = {
  name: "nats.ws",
  connect: (options) => nats.connect(options),
  sentinel: nats.RequestStrategy.SentinelMsg,
  isPermission: (error) => error.code === nats.ErrorCode.PermissionsViolation,
  isAuthorization: (error) => error.code === nats.ErrorCode.AuthorizationViolation,
  isNoResponders: (error) => error.code === nats.ErrorCode.NoResponders,
  // nats.ws gives the code and, for permissions, what was asked for.
  errorText: (status) =>
    status.type === "error" ? `${status.data} ${JSON.stringify(status.permissionContext ?? {})}` : undefined,
  causeOf: (error) => error,
};

export const clients = [natsCore, natsWs];
