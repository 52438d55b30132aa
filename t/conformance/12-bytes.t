# The bytes on the wire, to the last: what an ordinary answer holds, and that nothing of it leaks into the next.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;
use Time::HiRes qw(sleep time);

my $server = server(
    main => [ [ heartbeat_zone => '1m' ] ],
    vhosts => [ { name => 'one.test', locations => { both_endpoints(), '/t' => { endpoint => 'ping', settings => [ [ heartbeat_trim => 'on' ] ] } } } ],
)->start;

subtest 'an untrimmed ping' => sub {
    for my $method (qw(HEAD GET)) {
        my $r = $server->fetch($method, '/hb/ping', headers => ['Cookie: hb=alice']);
        like($r->head, qr{\AHTTP/1\.1 204 No Content\r\n}, "$method: the status line");
        my @names = sort grep { !/^(?:connection|keep-alive)$/ } keys %{ $r->{headers} };
        is("@names", 'cache-control date server', 'and these headers only');
        unlike($r->head, qr/[^\r]\n|\r[^\n]/, 'clean line ends');
    }
};

subtest 'one answer per request' => sub {
    my $c = $server->connect;
    my @asked = (
        [ HEAD => '/hb/ping', 204 ], [ GET => '/t', 204 ], [ GET => '/plain.txt', 200 ], [ HEAD => '/hb/page', 200 ], [ GET => '/hb/page', 200 ],
        [ POST => '/hb/ping', 405 ], [ HEAD => '/t', 204 ], [ HEAD => '/plain.txt', 200 ], [ GET => '/hb/ping', 204 ],
    );
    $c->send(join '', map { $c->request_bytes($_->[0], $_->[1], $_->[0] eq 'POST' ? (body => 'xyz') : ()) } @asked);
    my @statuses = map { my $r = $c->response($_->[0]); $r ? $r->status : 'none' } @asked;
    is("@statuses", join(' ', map { $_->[2] } @asked), 'in order, through one connection, pipelined');
    is($c->rest(0.2), '', 'and nothing else');
};

# Until the server's socket is full, too: then an answer goes out in pieces, and the rest waits.
subtest 'who does not read gets all of it when he does' => sub {
    for ([ '/hb/ping', 60000 ], [ '/t', 200000 ]) {
        my ($path, $count) = @$_;
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $server->port, Sockopts => [ [ SOL_SOCKET, SO_RCVBUF, 4096 ] ]) or die $!;
        $socket->blocking(0);
        my ($left, $answers, $end, $deaf) = ("HEAD $path HTTP/1.1\r\nHost: one.test\r\n\r\n" x $count, '', time + 30, time + 1);
        my $all = sub { (() = $answers =~ /\r\n\r\n/g) >= $count };
        while (time < $end && (length $left || !$all->())) {
            my $sent = length $left ? syswrite $socket, $left : 0;
            substr $left, 0, $sent, '' if $sent;
            my $read = time > $deaf ? sysread $socket, $answers, 1 << 20, length $answers : undef;
            last if defined $read && !$read;    # closed
            sleep 0.01 if !$sent && !$read;
        }
        my %seen;
        ++$seen{s/Date: .*?\r\n//r} for $answers =~ /(.*?\r\n\r\n)/gs;
        is(keys %seen, 1, "$path: all answers are alike");
        is((values %seen)[0], $count, 'and one for each');
    }
};

subtest 'a HEAD answer has no body, an error neither' => sub {
    my $c = $server->connect;
    $c->request('HEAD', $_) for '/hb/ping', '/hb/page', '/t';
    is($c->rest(0.2), '', 'nothing is left over');
};

subtest 'an absolute request target, and odd targets' => sub {
    my $c = $server->connect;
    is($c->request('HEAD', 'http://one.test/hb/ping')->status, 204, 'absolute');
    is($c->request('HEAD', '/hb/ping?')->status, 204, 'an empty query');
    is($c->request('HEAD', '/hb/ping?%')->status, 204, 'a broken escape in the query');
    is($c->request('HEAD', '/hb/ping?a=1&a=1&&&=&a')->status, 204, 'a strange query');
    is($c->request('HEAD', '/hb/ping?' . 'x' x 4000)->status, 204, 'a long query');
};

no_bad_log_lines();
done_testing;
