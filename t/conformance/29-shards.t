# heartbeat_shards: where each key lies, what is true across all of them, and the way from one to four.
use strict;
use warnings;
use Digest::SHA qw(sha1_hex);
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use JSON::PP;
use List::Util qw(sum0 uniq);
use Test::More;

my $SHARDS = 4;
my $ROOM = Heartbeat::Server::sanitized() ? 2 : 1;    # seconds
my ($redis, $moving_redis) = (redis(), redis());

sub started {
    my ($redis, $site, $shards) = @_;
    return server(
        main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '100ms' ], [ heartbeat_ids => 'plain' ],
            [ heartbeat_timeout => '2s' ], [ heartbeat_interval => '1s' ], [ heartbeat_grace => '1s' ], [ heartbeat_shards => $shards ] ],
        vhosts => [ { name => $site, locations => {
            both_endpoints(), '/beat' => { endpoint => 'beat' }, '/online' => { endpoint => 'online' }, '/audit' => { endpoint => 'audit' },
        } } ],
    )->start;
}

sub beat { my ($server, $id, $body) = @_; return $server->fetch('POST', '/beat', body => $body // '', headers => [ "Cookie: hb=$id", 'Content-Type: application/x-www-form-urlencoded' ])->status }
sub shard_of { my ($name) = @_; return hex(substr sha1_hex($name), 0, 8) % $SHARDS }
sub tag { my ($name) = @_; return 'hb:{one.test/' . shard_of($name) . '}:' }
sub events { my ($redis, $tag) = @_; return map { +{ @{ $_->[1] } } } @{ $redis->call('XRANGE', "${tag}events", '-', '+') } }
sub text_of { my ($e) = @_; return join ' ', grep {defined} @$e{qw(event id user)} }
sub list { my ($server) = @_; my $r = $server->fetch('GET', '/online'); return $r && $r->status == 200 ? decode_json($r->body) : { count => -1 } }

my $server = started($redis, 'one.test', $SHARDS);

# --- the one that moves: it begins with one part, and changes at once; its sessions say their names before that only ---

my $moving = started($moving_redis, 'moves.test', 1);
my @movers = map {"m$_"} 1 .. 8;
is(beat($moving, $_, "user=$_-user"), 204, "$_ is here") for @movers, 'left';
ok(eventually { $moving_redis->call('ZCARD', 'hb:{moves.test}:online') == 9 }, 'in one part');
is($moving_redis->call('HGETALL', 'hb:sites')->[0], '1 moves.test', 'which every server looks after');
$_->[1] = $SHARDS for grep { $_->[0] eq 'heartbeat_shards' } @{ $moving->{main} };
my $ping_movers = sub { $moving->ping($_) for @movers };
$ping_movers->();
$moving->reload;
my $reloaded = time;
$ping_movers->();

# --- the one of four parts ---

my %users = map { ("s$_" => 'user' . $_ % 7) } 1 .. 24;
is(join(' ', uniq map { beat($server, $_, "user=$users{$_}") } sort keys %users), 204, 'sessions of seven users');
$ping_movers->();
sleep 0.4;

subtest 'where the keys lie' => sub {
    my @keys = grep { !/^hb:(?:node:|sites$|idkey$)/ } @{ $redis->call('KEYS', '*') };
    is_deeply([ grep { !m{^hb:\{one\.test/[0-3]\}:} } @keys ], [], 'all in one of four parts') or diag "@keys";
    for my $id (sort keys %users) {
        my $tag = tag($id);
        ok($redis->call('EXISTS', "${tag}session:$id") && defined $redis->call('ZSCORE', "${tag}seen", $id) && defined $redis->call('ZSCORE', "${tag}online", $id),
            "$id lies in part " . shard_of($id));
    }
    for my $user (uniq sort values %users) {
        my $tag = tag($user);
        is($redis->call('HGET', "${tag}user", $user), scalar(grep { $_ eq $user } values %users), "the sessions of $user are counted in one part, wherever they lie");
        is($redis->call('EXISTS', "${tag}user:$user"), 1, 'and so is the time');
    }
    my @seen = map { @{ $redis->call('ZRANGE', "hb:{one.test/$_}:seen", 0, -1) } } 0 .. 3;
    is_deeply([ sort @seen ], [ sort keys %users ], 'each session lies in one part');
    is(sum0(map { $redis->call('HLEN', "hb:{one.test/$_}:user") } 0 .. 3), 7, 'each user, too');
    is($redis->call('HGETALL', 'hb:sites')->[0], '4 one.test', 'every server looks after all four');
};

subtest 'as the manual computes it' => sub {
    open my $in, '<', "$FindBin::Bin/../../docs/redis-keys.md" or die $!;
    my ($program) = do { local $/; <$in> } =~ /^(python3 -c .*) alice$/m or die;
    $program =~ s/% 8/% $SHARDS/;
    chomp(my $got = `$program s1`);
    is($got, shard_of('s1'), 'the line of the manual says so');
};

subtest 'events' => sub {
    for my $shard (0 .. 3) {
        my @events = events($redis, "hb:{one.test/$shard}:");
        is_deeply([ grep { shard_of($_->{id} // $_->{user}) != $shard } @events ], [], "part $shard has those of its names only");
    }
    my @all = sort map { text_of($_) } map { events($redis, "hb:{one.test/$_}:") } 0 .. 3;
    is_deeply(\@all, [ sort map({"online $_ $users{$_}"} keys %users), map {"user-online $_"} uniq values %users ], 'each once');
};

subtest 'lists' => sub {
    my $list = eventually { my $list = list($server); $list->{count} == 24 && $list } 4;
    ok($list, 'all are online') or return diag explain list($server);
    is($list->{users}, 7, 'of seven users');
    is_deeply([ sort map { $_->{id} } @{ $list->{online} } ], [ sort keys %users ], 'each is listed');
};
$ping_movers->();
is(beat($server, $_), 204, "$_ goes on") for qw(s1 s2);
sleep 1;

subtest 'audit' => sub {
    $ping_movers->();
    is(beat($server, $_), 204, "$_ goes on") for qw(s1 s2);
    sleep 0.4;
    my $r = $server->fetch('GET', '/audit');
    is($r && $r->status, 200, 'an answer') or return;
    my $audit = decode_json($r->body);
    my %audited = map { $_->{user} => $_ } @{ $audit->{users} };
    ok($audited{$_} && $audited{$_}{open_ms} >= 900, "$_ was here for a while") or diag $r->body for @users{qw(s1 s2)};
    is($audit->{total}, scalar keys %audited, 'each user once');
    is_deeply([ map { $_->{user} } @{ $audit->{users} } ], [ sort keys %audited ], 'sorted, whichever part they lie in');
    is(decode_json($server->fetch('GET', "/audit?user=$users{s1}")->body)->{total}, 1, 'one of them');
};

# --- the move ---

# They are here all the time, until the old part is swept: a server that was reloaded waits for eight seconds.
while (time < $reloaded + 11.5 + $ROOM) { $ping_movers->(); sleep 0.5 }

subtest 'from one to four' => sub {
    is($moving_redis->call(@$_), 0, "nothing in the old $_->[1]") for [ ZCARD => 'hb:{moves.test}:online' ], [ HLEN => 'hb:{moves.test}:user' ], [ ZCARD => 'hb:{moves.test}:undecided' ];
    is_deeply($moving_redis->call('HKEYS', 'hb:sites'), ['4 moves.test'], 'it is looked after no more');
    my @old = sort map { text_of($_) } events($moving_redis, 'hb:{moves.test}:');
    is_deeply(\@old, [ sort map { my $id = $_; map { ("$_ $id $id-user", "user-$_ $id-user") } qw(online offline) } @movers, 'left' ], 'everybody came and went there, once');
    my @new = map { events($moving_redis, "hb:{moves.test/$_}:") } 0 .. 3;
    is_deeply([ sort grep {/^online/} map { text_of($_) } @new ], [ sort map { text_of({ event => 'online', id => $_, user => "$_-user" }) } @movers ], 'whoever is here came to the new parts, once')
        or diag explain \@new;
    is(scalar(grep { $_->{event} =~ /offline|leave/ } @new), 0, 'and nobody went');
    is(sum0(map { $moving_redis->call('ZCARD', "hb:{moves.test/$_}:online") } 0 .. 3), 8, 'where they are');
    is(sum0(map { $moving_redis->call('HLEN', "hb:{moves.test/$_}:user") } 0 .. 3), 8, 'with their names');
    is(list($moving)->{count}, 8, 'so says the list');
};

subtest 'everybody gone' => sub {
    is($redis->call('ZCARD', "hb:{one.test/$_}:online") + $redis->call('HLEN', "hb:{one.test/$_}:user"), 0, "nobody in part $_") for 0 .. 3;
    my @all = sort map { text_of($_) } map { events($redis, "hb:{one.test/$_}:") } 0 .. 3;
    is_deeply(\@all, [ sort map({ ("online $_ $users{$_}", "offline $_ $users{$_}") } keys %users), map { ("user-online $_", "user-offline $_") } uniq values %users ], 'each event once');
    is($redis->call('EXISTS', 'hb:sites'), 0, 'nobody has to look after them');
};

no_bad_log_lines();
done_testing;
