# A thousand beacons a second while something is killed or away: whatever was answered with 204 is in Redis in the end, once.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::BeaconLoad;
use Heartbeat::Test;
use Heartbeat::Token;
use Test::More;

my $SECRET = 'of page views, long enough to be one';
my $keys = Heartbeat::Token::key_file(workplace(), 'views.key', $SECRET);
my $folders = 0;

sub place {
    my (%o) = @_;
    my $redis = redis(persist => 1);
    my $proxy = proxy(to => $redis->port);
    my $spool = workplace() . '/spool' . ++$folders;
    my ($server, @others) = map { server(
        main => [ [ heartbeat_zone => '2m' ], [ heartbeat_redis => $proxy->url ], [ heartbeat_flush => '200ms' ], [ heartbeat_spool => $_ == 1 ? $spool : "$spool-$_", @{ $o{spool} // [] } ] ],
        vhosts => [ { name => 'one.test', settings => [ [ heartbeat_key_file => $keys ], [ heartbeat_shards => $o{shards} // 1 ] ], locations => { both_endpoints(), '/hb/beacon' => { endpoint => 'beacon' } } } ],
    )->start } 1 .. $o{hosts} // 1;
    return { shards => $o{shards} // 1, redis => $redis, proxy => $proxy, server => $server, others => \@others, spool => $spool };
}

sub load_on { my ($place) = @_; return Heartbeat::BeaconLoad->start(dir => workplace(), ports => [ map { $_->port } $place->{server}, @{ $place->{others} } ], secret => $SECRET) }

sub parts { my ($place) = @_; return $place->{shards} == 1 ? 'one.test' : map {"one.test/$_"} 0 .. $place->{shards} - 1 }

# Until all is there that must be, and nothing more comes.
sub settled {
    my ($place, $sent, $seconds) = @_;
    my ($acked, $have) = (Heartbeat::BeaconLoad::acked($sent), 0);
    eventually { $have = 0; $have += $place->{redis}->call('XLEN', "hb:{$_}:beacons") for parts($place); $have >= $acked } $seconds // 20;
    my %streamed = map { %{ Heartbeat::BeaconLoad::streamed($place->{redis}, $_) } } parts($place);
    my ($lost, $doubled) = Heartbeat::BeaconLoad::wrong($sent, \%streamed);
    is(scalar @$lost, 0, 'none is lost') or diag "$have of $acked are there: not $lost->[0], for instance";
    is(scalar @$doubled, 0, 'none is there twice') or diag "$doubled->[0], for instance";
    my @partly = grep { my $v = $_; $sent->{$v}{19} && !grep { ($_->[0] // 0) != 204 } values %{ $sent->{$v} } } keys %$sent;
    my $whole = eventually {
        my %k = map { @{ $place->{redis}->call('HGETALL', "hb:{$_}:view:$partly[-1]") } } parts($place);
        ($k{state} // '') eq 'complete' && \%k;
    } 5;
    is($whole->{batches}, 20, 'a page view is whole');
}

sub during {
    my ($what, $faults, %o) = @_;
    subtest $what => sub {
        my $place = place(%o);
        my $load = load_on($place);
        sleep 1;
        $faults->($place);
        sleep 1;
        my $sent = $load->finish;
        my $acked = Heartbeat::BeaconLoad::acked($sent);
        cmp_ok($acked, '>', 500, "there was load ($acked beacons)");
        settled($place, $sent, $o{settles});
        $o{after}->($place) if $o{after};
    };
}

during('workers killed, also the one that ships', sub {
    my ($place) = @_;
    for my $n (1 .. 4) {
        my @workers = $place->{server}->workers;
        kill 'KILL', $workers[ $n % @workers ];
        sleep 0.7;
    }
    kill 'KILL', $place->{server}->workers;
    sleep 1;
});

during('reloads', sub { my ($place) = @_; for (1 .. 3) { $place->{server}->reload; sleep 0.7 } });

during('the whole server killed and started again', sub {
    my ($place) = @_;
    my $server = $place->{server};
    my @workers = $server->workers;
    $server->{process}->stop('KILL');
    kill 'KILL', @workers;
    eventually { !grep { kill 0, $_ } @workers } 5;
    unlink glob "$server->{dir}/run/*.pid"; # its number is that of nobody, or of somebody else
    $server->start;
    sleep 0.5;
}, after => sub {
    my ($place) = @_;
    my @instances = do { my %i; /([0-9a-f]{16})[^\/]*\z/ && $i{$1}++ for glob "$place->{spool}/*"; keys %i };
    ok(eventually(sub { my %i; /([0-9a-f]{16})[^\/]*\z/ && $i{$1}++ for glob "$place->{spool}/*"; keys %i == 1 }, 40), 'what it left is gone once Redis has it');
});

during('Redis killed and started again', sub { my ($place) = @_; $place->{redis}->kill; sleep 1; $place->{redis}->start; sleep 0.5 });
during('Redis frozen', sub { my ($place) = @_; $place->{redis}->freeze; sleep 2; $place->{redis}->thaw });
during('answers of Redis lost', sub { my ($place) = @_; for (1 .. 3) { $place->{proxy}->mode('hold'); sleep 0.7; $place->{proxy}->mode('pass'); sleep 0.3 } });
during('no answers, half ones and wrong ones', sub {
    my ($place) = @_;
    my $trouble = sub { $place->{proxy}->mode(@_); sleep 0.4; $place->{proxy}->mode('pass'); sleep 0.3 };
    $trouble->(@$_) for ['half'], [ drop => close => 1, count => 2 ], ['blackhole'], ['refuse'], [ cut => bytes => 1 ], [ cut => bytes => 7 ];
    $trouble->(replace => raw => $_, count => 6) for "-LOADING Redis is loading the dataset in memory\r\n", "-READONLY You can't write against a read only replica.\r\n",
        "-OOM command not allowed when used memory > 'maxmemory'.\r\n", "-NOSCRIPT No matching script. Please use EVAL.\r\n",
        "-NOAUTH Authentication required.\r\n", "*2\r\n+OK\r\n:-1\r\n", "\x00\xff\xfe garbage \r\n\r\n{}";
}, settles => 40);
during('the disk is waited for, and Redis killed', sub { my ($place) = @_; $place->{redis}->kill; sleep 1; $place->{redis}->start; sleep 0.5 }, spool => ['fsync']);
during('one of two hosts killed, and started again', sub {
    my ($place) = @_;
    my ($other) = @{ $place->{others} };
    my @workers = $other->workers;
    $other->{process}->stop('KILL');
    kill 'KILL', @workers;
    eventually { !grep { kill 0, $_ } @workers } 5;
    unlink glob "$other->{dir}/run/*.pid";
    sleep 1;
    $other->start;
    sleep 1;
}, hosts => 2);
during('the one that ships killed before its answer, in shards', sub {
    my ($place) = @_;
    $place->{proxy}->mode('hold');
    sleep 0.6;
    kill 'KILL', grep {$_} map { $place->{server}->worker_with_port($_) } @{ $place->{proxy}->stats->{peers} };
    $place->{proxy}->mode('pass');
    sleep 1;
}, shards => 3);

subtest 'no Redis for long, and a full stop meanwhile' => sub {
    my $place = place();
    $place->{redis}->stop;
    my $load = load_on($place);
    sleep 2;
    my $sent = $load->finish;
    ok($place->{server}->quit, 'it stops');
    $place->{redis}->start;
    is_deeply($place->{redis}->call('KEYS', 'hb:*beacons'), [], 'Redis has nothing yet');
    $place->{server}->start;
    settled($place, $sent, 20);
};

subtest 'a spool that is full' => sub {
    my $place = place(spool => ['max=8m']);
    $place->{redis}->freeze;
    my $token = Heartbeat::Token::mint($SECRET, vid => 'full');
    my (%status, $refused, $c);
    for my $i (0 .. 400) {
        $token = Heartbeat::Token::mint($SECRET, vid => "full-$i") if $i % 10 == 0;
        $c = $place->{server}->connect if !$c || $i % 50 == 0;
        my $r = $c->request('POST', "/hb/beacon?v=$token&n=" . $i % 10, body => 'x' x 30000);
        $status{ $r->status }++;
        $c = undef if ($r->header('connection') // '') =~ /close/i; # httpd does not keep one after 503
        $refused //= $r if $r->status != 204;
    }
    is(join(' ', sort keys %status), '204 503', 'taken until it is full, then 503');
    cmp_ok($status{204}, '>', 200, 'eight megabytes are taken') or diag explain \%status;
    cmp_ok($refused->header('retry-after') // 0, '>=', 1, 'with Retry-After');
    my $bytes = 0;
    $bytes += -s for glob "$place->{spool}/*.spool";
    cmp_ok($bytes, '<=', 8 * 1048576, 'and no more on disk');
    is($place->{server}->ping('s')->status, 204, 'pings are not concerned');
    $place->{redis}->thaw;
    ok(eventually(sub { $place->{server}->fetch('POST', "/hb/beacon?v=$token&n=9", body => 'again')->status == 204 }, 60), 'there is room again when Redis has it');
};

no_bad_log_lines(qr/exited on signal 9/, qr/exit signal Killed/, qr/heartbeat_spool: \d+ beacons refused/);
done_testing;
