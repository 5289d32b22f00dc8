'use strict';
// Take mail from everybody on loopback, and send all of it to one next hop by way of Haraka's own outbound queue, which
// syncs a message before its 250. {names} in braces are filled in by bench/contestants.py.
exports.hook_connect = (next, connection) => {
    connection.relaying = true;
    next();
};

exports.hook_rcpt = (next) => next(OK);

exports.hook_get_mx = (next) => next(OK, { priority: 0, exchange: '127.0.0.1', port: {next_hop_port} });
