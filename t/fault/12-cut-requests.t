# A request cut off or torn apart at every byte: no crash, no leak into another request.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

my $redis = redis();
my $server = server(
    main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ] ],
    vhosts => [ {
        name => 'one.test', settings => [ [ heartbeat_ids => 'plain' ], [ heartbeat_trim => 'on' ] ],
        locations => { both_endpoints() },
    } ],
)->start;

my $request = "HEAD /hb/ping?a=1 HTTP/1.1\r\nHost: one.test\r\nCookie: x=1; hb=cut-off\r\n\r\n";
my $answer = "HTTP/1.1 204 No Content\r\n\r\n";

subtest 'cut, then closed' => sub {
    for my $at (0 .. length($request) - 1) {
        my $c = $server->connect;
        $c->send(substr $request, 0, $at);
        $c->close;
    }
    is($server->ping('alive')->status, 204, 'goes on');
};

subtest 'cut, then half closed' => sub {
    my $wrong = 0;
    for my $at (0 .. length($request) - 1) {
        my $c = $server->connect(timeout => 2);
        $c->send(substr $request, 0, $at);
        $c->half_close;
        my $rest = $c->rest(0.01);
        $wrong++ if $rest =~ / 204 /;
    }
    is($wrong, 0, 'no part of a request is answered as a ping');
    is($server->ping('alive')->status, 204, 'goes on');
};

sleep 0.6;
is($redis->seen('one.test', 'cut-off'), undef, 'nothing was recorded');

subtest 'torn into two pieces' => sub {
    my @wrong;
    my $torn = $request =~ s/cut-off/torn/r;
    for my $at (1 .. length($torn) - 1) {
        my $c = $server->connect(timeout => 5);
        $c->send_pieces(0.003, substr($torn, 0, $at), substr $torn, $at);
        my $r = $c->response('HEAD');
        push @wrong, $at if !$r || $r->raw ne $answer;
    }
    is("@wrong", '', 'the answer is the same');
    my $times = length($torn) - 1;
    my $beats;
    eventually { ($beats = $redis->beats('one.test', 'torn') // 0) == $times };
    is($beats, $times, 'and every one is counted');
};

subtest 'one byte at a time, two requests' => sub {
    my $c = $server->connect(timeout => 5);
    $c->send_pieces(0.001, split //, $request x 2);
    is($c->response('HEAD')->raw, $answer, 'first');
    is($c->response('HEAD')->raw, $answer, 'second');
};

subtest 'gone before the answer' => sub {
    for (1 .. 100) {
        my $c = $server->connect;
        $c->send($request x 10);
        setsockopt $c->socket, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack 'ii', 1, 0;
        $c->close;
    }
    is($server->ping('alive')->status, 204, 'goes on');
};

no_bad_log_lines();
done_testing;
